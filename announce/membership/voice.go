package membership

import (
	"bytes"
	"slices"

	"github.com/hashicorp/memberlist"
)

// The kinds of words that members say to each other, by their first byte.
const (
	kindFarewell byte = iota + 1
	kindNotice
)

// Notice is what a member has told the others with Tell.
type Notice struct {
	From string
	Text []byte
}

const (
	// packet is how long a word may be, in bytes, to be sent as a packet, which may be lost; longer ones go over TCP.
	packet = 1200
	// unheard is how many notices are kept for who does not ask for them; what comes later is lost.
	unheard = 1024
)

// Tell sends all members in sight a notice, without waiting for them. Short ones arrive within a round trip, or are lost as
// packets may be.
func (c *Cluster) Tell(text []byte) {
	c.mu.Lock()
	list := c.list
	if list != nil {
		c.telling.Add(1)
	}
	c.mu.Unlock()
	if list == nil {
		return
	}
	defer c.telling.Done()
	word := slices.Concat([]byte{kindNotice, byte(len(c.config.Name))}, []byte(c.config.Name), text)
	for _, n := range list.Members() {
		if n.Name == c.config.Name {
			continue
		}
		if len(word) <= packet {
			c.noteUntold(n, list.SendBestEffort(n, word))
		} else {
			c.telling.Go(func() { c.noteUntold(n, list.SendReliable(n, word)) })
		}
	}
}

func (c *Cluster) noteUntold(n *memberlist.Node, err error) {
	if err != nil {
		c.config.Logger.V(2).Info("Cannot tell an announcer something", "node", n.Name, "err", err)
	}
}

// Notices returns what others have told since the last call. Changed receives when there is something.
func (c *Cluster) Notices() []Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	notices := c.notices
	c.notices = nil
	return notices
}

// voice is the Cluster as memberlist's source and sink of words that are not its own.
type voice struct{ *Cluster }

// NodeMeta tells the others the session.
func (v voice) NodeMeta(int) []byte { return v.session }

// NotifyMsg takes a word.
func (v voice) NotifyMsg(word []byte) {
	switch {
	case len(word) == 0:
	case word[0] == kindFarewell:
		v.hearFarewell(farewell(word))
	case word[0] == kindNotice && len(word) > 1 && len(word) > 1+int(word[1]):
		name := 2 + int(word[1])
		v.mu.Lock()
		if len(v.notices) < unheard {
			v.notices = append(v.notices, Notice{From: string(word[2:name]), Text: bytes.Clone(word[name:])})
		}
		v.mu.Unlock()
		v.changed.Notify()
	}
}

// GetBroadcasts returns what is to be passed on.
func (v voice) GetBroadcasts(overhead, limit int) [][]byte {
	return v.farewells.GetBroadcasts(overhead, limit)
}

// LocalState and MergeRemoteState are for what is exchanged in full now and then, which is nothing.
func (voice) LocalState(bool) []byte        { return nil }
func (voice) MergeRemoteState([]byte, bool) {}
