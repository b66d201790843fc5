package membership

import (
	"bytes"
	"crypto/rand"
	"slices"

	"github.com/hashicorp/memberlist"
)

// sessionSize is the length of a session in bytes, by which one run of a member is told from the next.
const sessionSize = 8

func newSession() []byte {
	session := make([]byte, sessionSize)
	rand.Read(session) // never fails
	return session
}

// leaveMessage is the word that a member leaves on purpose: its kind, the session and the name. memberlist itself tells it from a death but
// does not pass that on. Like memberlist's own news it is told from member to member, for those whom it does not reach
// directly.
type leaveMessage []byte

func newLeaveMessage(session []byte, name string) leaveMessage {
	return slices.Concat(leaveMessage{kindLeave}, session, leaveMessage(name))
}

// parse returns nil and nothing where it is no farewell.
func (f leaveMessage) parse() (session []byte, name string) {
	if len(f) <= 1+sessionSize {
		return nil, ""
	}
	return f[1 : 1+sessionSize], string(f[1+sessionSize:])
}

// Message, Invalidates, Finished and UniqueBroadcast are for memberlist.
func (f leaveMessage) Message() []byte                       { return f }
func (f leaveMessage) Invalidates(memberlist.Broadcast) bool { return false }
func (f leaveMessage) Finished()                             {}
func (f leaveMessage) UniqueBroadcast()                      {}

// broadcastLeave tells all members in sight that this one leaves. It does so before memberlist does, so that who hears that the
// member is gone knows already that this was on purpose.
func (c *Cluster) broadcastLeave(list *memberlist.Memberlist) {
	word := newLeaveMessage(c.session, c.config.Name)
	c.leaveQueue.QueueBroadcast(word)
	for _, n := range list.Members() {
		if n.Name == c.config.Name {
			continue
		}
		if err := list.SendBestEffort(n, word); err != nil {
			c.config.Logger.V(2).Info("Cannot tell an announcer that this one leaves", "node", n.Name, "err", err)
		}
	}
}

// handleLeave takes a farewell, and passes it on if it is news.
func (v delegate) handleLeave(f leaveMessage) {
	session, name := f.parse()
	v.mu.Lock()
	m := v.members[name]
	news := m != nil && !m.left && bytes.Equal(m.session, session)
	if news {
		m.left = true
	}
	late := news && !m.alive
	v.mu.Unlock()
	if news {
		v.leaveQueue.QueueBroadcast(newLeaveMessage(session, name))
	}
	if late {
		v.changed.Notify()
	}
}
