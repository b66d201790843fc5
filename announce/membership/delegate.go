package membership

import (
	"bytes"

	"github.com/clarionlb/clarion/internal/guard"
)

// delegate is the Cluster as memberlist's Delegate, for messages that are not memberlist's own.
type delegate struct{ *Cluster }

// NodeMeta returns what the others are told with the news that this member is alive: its session.
func (d delegate) NodeMeta(int) []byte { return d.session }

// NotifyMsg is called with each message that arrives. It ignores malformed ones.
func (d delegate) NotifyMsg(message []byte) {
	guard.Run("gossip", "", func() { d.handle(message) })
}

func (d delegate) handle(message []byte) {
	if len(message) == 0 {
		return
	}
	switch message[0] {
	case kindLeave:
		d.handleLeave(leaveMessage(message))
	case kindUser:
		from, text, ok := parseMessage(message)
		if !ok {
			return
		}
		d.keep(Message{From: from, Text: bytes.Clone(text)})
		d.noteHeard(from)
		d.changed.Notify()
	}
}

func (d delegate) keep(message Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.messages) < maxMessages {
		d.messages = append(d.messages, message)
	}
}

// GetBroadcasts returns messages to piggyback on gossip: the leave messages that this member passes
// on.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.leaveQueue.GetBroadcasts(overhead, limit)
}

// LocalState and MergeRemoteState are for the exchange of full state, to which the Cluster adds
// nothing.
func (delegate) LocalState(bool) []byte        { return nil }
func (delegate) MergeRemoteState([]byte, bool) {}
