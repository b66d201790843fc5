package membership

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// sessionSize is the length in bytes of a session. Each run of a member has a session of its own.
const sessionSize = 8

func newSession() []byte {
	session := make([]byte, sessionSize)
	rand.Read(session) // never fails
	return session
}

// leaveMessage says that a member leaves on purpose. It consists of its kind, the member's session
// and its name. memberlist itself distinguishes a leave from a death, but does not pass that on.
// Like memberlist's own news, the message travels from member to member, for those that do not
// receive it directly.
type leaveMessage []byte

func newLeaveMessage(session []byte, name string) leaveMessage {
	return slices.Concat(leaveMessage{kindLeave}, session, leaveMessage(name))
}

// parse returns a nil session and no name if the message is malformed.
func (m leaveMessage) parse() (session []byte, name string) {
	if len(m) <= 1+sessionSize {
		return nil, ""
	}
	return m[1 : 1+sessionSize], string(m[1+sessionSize:])
}

// Message, Invalidates, Finished and UniqueBroadcast are those of memberlist's Broadcast.
func (m leaveMessage) Message() []byte                       { return m }
func (m leaveMessage) Invalidates(memberlist.Broadcast) bool { return false }
func (m leaveMessage) Finished()                             {}
func (m leaveMessage) UniqueBroadcast()                      {}

// leave tells the others that this member leaves, and ends the gossip.
func (c *Cluster) leave(list *memberlist.Memberlist) error {
	const timeout = 500 * time.Millisecond
	c.broadcastLeave(list)
	if err := list.Leave(timeout); err != nil {
		c.config.Logger.V(2).Info("The other announcers may not have heard that this one leaves", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("end the gossip: %w", err)
	}
	return nil
}

// broadcastLeave sends the leave message to all members that are alive. It does so before
// memberlist sends its own, so that a member which hears from memberlist that this one is gone
// knows already that it left on purpose.
func (c *Cluster) broadcastLeave(list *memberlist.Memberlist) {
	message := newLeaveMessage(c.session, c.config.Name)
	c.leaveQueue.QueueBroadcast(message)
	for _, n := range list.Members() {
		if n.Name != c.config.Name {
			c.logSendError(n, list.SendBestEffort(n, message))
		}
	}
}

// handleLeave notes that a member leaves, and passes the message on if it is news.
func (d delegate) handleLeave(message leaveMessage) {
	session, name := message.parse()
	d.mu.Lock()
	m := d.members[name]
	news := m != nil && !m.left && bytes.Equal(m.session, session)
	if news {
		m.left = true
	}
	late := news && !m.alive
	d.mu.Unlock()
	if news {
		d.leaveQueue.QueueBroadcast(newLeaveMessage(session, name))
	}
	if late { // what Left says has changed only now
		d.changed.Notify()
	}
}
