package membership

import (
	"slices"

	"github.com/hashicorp/memberlist"
)

// The kinds of messages that members send each other, by their first byte.
const (
	kindLeave byte = iota + 1
	kindUser
)

// Message is what another member has sent with Broadcast or Tell.
type Message struct {
	From string
	Text []byte
}

const (
	// maxPacket is the size in bytes up to which a message is sent as one packet, which may be
	// lost. Longer ones go over TCP.
	maxPacket = 1200
	// maxMessages is how many messages wait for a call of Messages. Later ones are dropped.
	maxMessages = 1024
)

// Broadcast sends a message to all members that are alive, and does not wait until it has arrived.
// A short message takes one network latency and may be lost, as packets may. It does nothing unless
// the Cluster runs.
func (c *Cluster) Broadcast(text []byte) {
	list := c.beginSending()
	if list == nil {
		return
	}
	defer c.sending.Done()
	for _, n := range list.Members() {
		if n.Name != c.config.Name {
			c.send(list, n, text)
		}
	}
}

// Tell is Broadcast to one member alone, which may have been alive before and need not be now.
func (c *Cluster) Tell(name string, text []byte) {
	list := c.beginSending()
	if list == nil {
		return
	}
	defer c.sending.Done()
	c.mu.Lock()
	m := c.members[name]
	c.mu.Unlock()
	if m == nil {
		return
	}
	c.send(list, &memberlist.Node{Name: name, Addr: m.address.AsSlice(), Port: uint16(c.config.Port), PMax: memberlist.ProtocolVersionMax}, text)
}

// beginSending returns what to send with; nil if the Cluster does not run. Otherwise sending.Done is to be called.
func (c *Cluster) beginSending() *memberlist.Memberlist {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list != nil {
		c.sending.Add(1)
	}
	return c.list
}

func (c *Cluster) send(list *memberlist.Memberlist, to *memberlist.Node, text []byte) {
	message := slices.Concat([]byte{kindUser, byte(len(c.config.Name))}, []byte(c.config.Name), text)
	if len(message) <= maxPacket {
		c.logSendError(to, list.SendBestEffort(to, message))
	} else {
		c.sending.Go(func() { c.logSendError(to, list.SendReliable(to, message)) })
	}
}

func (c *Cluster) logSendError(n *memberlist.Node, err error) {
	if err != nil {
		c.config.Logger.V(2).Info("Cannot send a message to an announcer", "node", n.Name, "err", err)
	}
}

// Messages returns the messages of others that have arrived since the last call. Changed receives
// when there are some.
func (c *Cluster) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := c.messages
	c.messages = nil
	return messages
}

// parseMessage reads the sender and the text of a message of kindUser; false if it is malformed.
func parseMessage(b []byte) (from string, text []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return "", nil, false
	}
	end := 2 + int(b[1])
	return string(b[2:end]), b[end:], true
}
