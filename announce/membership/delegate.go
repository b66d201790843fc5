package membership

import (
	"bytes"
	"slices"

	"github.com/hashicorp/memberlist"
)

// The kinds of words that members say to each other, by their first byte.
const (
	kindLeave byte = iota + 1
	kindUser
)

// Message is what a member has told the others with Tell.
type Message struct {
	From string
	Text []byte
}

const (
	// maxPacket is how long a word may be, in bytes, to be sent as a packet, which may be lost; longer ones go over TCP.
	maxPacket = 1200
	// maxMessages is how many notices are kept for who does not ask for them; what comes later is lost.
	maxMessages = 1024
)

// Broadcast sends all members in sight a notice, without waiting for them. Short ones arrive within a round trip, or are lost as
// packets may be.
func (c *Cluster) Broadcast(text []byte) {
	c.mu.Lock()
	list := c.list
	if list != nil {
		c.sending.Add(1)
	}
	c.mu.Unlock()
	if list == nil {
		return
	}
	defer c.sending.Done()
	word := slices.Concat([]byte{kindUser, byte(len(c.config.Name))}, []byte(c.config.Name), text)
	for _, n := range list.Members() {
		if n.Name == c.config.Name {
			continue
		}
		if len(word) <= maxPacket {
			c.logSendError(n, list.SendBestEffort(n, word))
		} else {
			c.sending.Go(func() { c.logSendError(n, list.SendReliable(n, word)) })
		}
	}
}

func (c *Cluster) logSendError(n *memberlist.Node, err error) {
	if err != nil {
		c.config.Logger.V(2).Info("Cannot tell an announcer something", "node", n.Name, "err", err)
	}
}

// Messages returns what others have told since the last call. Changed receives when there is something.
func (c *Cluster) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	notices := c.messages
	c.messages = nil
	return notices
}

// delegate is the Cluster as memberlist's source and sink of words that are not its own.
type delegate struct{ *Cluster }

// NodeMeta tells the others the session.
func (v delegate) NodeMeta(int) []byte { return v.session }

// NotifyMsg takes a word.
func (v delegate) NotifyMsg(word []byte) {
	switch {
	case len(word) == 0:
	case word[0] == kindLeave:
		v.handleLeave(leaveMessage(word))
	case word[0] == kindUser && len(word) > 1 && len(word) > 1+int(word[1]):
		name := 2 + int(word[1])
		v.mu.Lock()
		if len(v.messages) < maxMessages {
			v.messages = append(v.messages, Message{From: string(word[2:name]), Text: bytes.Clone(word[name:])})
		}
		v.mu.Unlock()
		v.changed.Notify()
	}
}

// GetBroadcasts returns what is to be passed on.
func (v delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return v.leaveQueue.GetBroadcasts(overhead, limit)
}

// LocalState and MergeRemoteState are for what is exchanged in full now and then, which is nothing.
func (delegate) LocalState(bool) []byte        { return nil }
func (delegate) MergeRemoteState([]byte, bool) {}
