package membership

import (
	"bytes"
	"crypto/rand"

	"github.com/hashicorp/memberlist"
)

// sessionSize is the length of a session in bytes, by which one run of a member is told from the next.
const sessionSize = 8

func newSession() []byte {
	session := make([]byte, sessionSize)
	rand.Read(session) // never fails
	return session
}

// farewell is the word that a member leaves on purpose: its session and its name. memberlist itself tells it from a death but
// does not pass that on. Like memberlist's own news it is told from member to member, for those whom it does not reach
// directly.
type farewell []byte

func newFarewell(session []byte, name string) farewell {
	return append(bytes.Clone(session), name...)
}

// parse returns nil and nothing where it is no farewell.
func (f farewell) parse() (session []byte, name string) {
	if len(f) <= sessionSize {
		return nil, ""
	}
	return f[:sessionSize], string(f[sessionSize:])
}

// Message, Invalidates, Finished and UniqueBroadcast are for memberlist.
func (f farewell) Message() []byte                       { return f }
func (f farewell) Invalidates(memberlist.Broadcast) bool { return false }
func (f farewell) Finished()                             {}
func (f farewell) UniqueBroadcast()                      {}

// sayFarewell tells all members in sight that this one leaves. It does so before memberlist does, so that who hears that the
// member is gone knows already that this was on purpose.
func (c *Cluster) sayFarewell(list *memberlist.Memberlist) {
	word := newFarewell(c.session, c.config.Name)
	c.farewells.QueueBroadcast(word)
	for _, n := range list.Members() {
		if n.Name == c.config.Name {
			continue
		}
		if err := list.SendBestEffort(n, word); err != nil {
			c.config.Logger.V(2).Info("Cannot tell an announcer that this one leaves", "node", n.Name, "err", err)
		}
	}
}

// voice is the Cluster as memberlist's source and sink of words that are not its own.
type voice struct{ *Cluster }

// NodeMeta tells the others the session.
func (v voice) NodeMeta(int) []byte { return v.session }

// NotifyMsg takes a farewell, and passes it on if it is news.
func (v voice) NotifyMsg(message []byte) {
	session, name := farewell(message).parse()
	v.mu.Lock()
	m := v.members[name]
	news := m != nil && !m.left && bytes.Equal(m.session, session)
	if news {
		m.left = true
	}
	late := news && !m.alive
	v.mu.Unlock()
	if news {
		v.farewells.QueueBroadcast(newFarewell(session, name))
	}
	if late {
		signal(v.changed)
	}
}

// GetBroadcasts returns what is to be passed on.
func (v voice) GetBroadcasts(overhead, limit int) [][]byte {
	return v.farewells.GetBroadcasts(overhead, limit)
}

// LocalState and MergeRemoteState are for what is exchanged in full now and then, which is nothing.
func (voice) LocalState(bool) []byte        { return nil }
func (voice) MergeRemoteState([]byte, bool) {}
