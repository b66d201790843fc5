package announce

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/announce/membership"
	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// joinTimeout is how long a peer is looked for that does not answer, and deathTimeout how long
	// it takes to notice a death.
	joinTimeout  = 500 * time.Millisecond
	deathTimeout = 300 * time.Millisecond
)

// fakeGossip is a gossip in which everybody knows at once who comes and who leaves, and after a
// while who has died.
type fakeGossip struct {
	journal *journal

	mu      sync.Mutex
	members map[string]*member
	// cut are those whose gossip reaches nobody.
	cut map[string]bool
	// lost says which messages do not arrive.
	lost func(from, to string) bool
}

func newFakeGossip(j *journal) *fakeGossip {
	return &fakeGossip{journal: j, members: map[string]*member{}, cut: map[string]bool{}, lost: nothing}
}

// member is one run of an announcer in the gossip.
type member struct {
	gossip  *fakeGossip
	name    string
	changed notify.Signal
	joined  chan struct{}
	told    chan struct{}

	// The gossip's mu guards the rest.
	running  bool
	peers    map[string]netip.Addr
	key      []byte
	sees     map[string]bool
	left     map[string]bool
	seen     map[string]time.Time
	messages []membership.Message
}

func (g *fakeGossip) newMember(name string, key []byte) *member {
	return &member{
		gossip: g, name: name, key: key, changed: notify.New(), joined: make(chan struct{}), told: make(chan struct{}, 1),
		sees: map[string]bool{}, left: map[string]bool{}, seen: map[string]time.Time{},
	}
}

// meet has all see each other that can, under mu.
func (g *fakeGossip) meet() {
	for _, a := range g.members {
		for _, b := range g.members {
			if a == b || g.cut[a.name] || g.cut[b.name] || !bytes.Equal(a.key, b.key) || a.sees[b.name] {
				continue
			}
			a.sees[b.name], a.left[b.name] = true, false
			a.seen[b.name] = time.Now()
			a.changed.Notify()
		}
	}
}

// setCut cuts the gossip of a member off from the others, which notice after a while, or has it
// meet them again.
func (g *fakeGossip) setCut(name string, cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut[name] = cut
	if !cut {
		g.meet()
		return
	}
	now := time.Now()
	for _, m := range g.members {
		for other := range m.sees {
			if m.name == name || other == name {
				m.seen[other] = now
			}
		}
	}
	time.AfterFunc(deathTimeout, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.cut[name] {
			return
		}
		for _, m := range g.members {
			if m.name == name {
				clear(m.sees)
			}
			delete(m.sees, name)
			m.changed.Notify()
		}
	})
}

// meetOneWay has a member that was cut off see the others again, and not the other way round: they take it for dead until they hear it.
func (g *fakeGossip) meetOneWay(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut[name] = false
	m := g.members[name]
	for other := range g.members {
		if other != name {
			m.sees[other] = true
		}
	}
	m.changed.Notify()
}

// cutUnnoticed cuts the gossip of a member off, and nobody notices.
func (g *fakeGossip) cutUnnoticed(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut[name] = true
}

func (m *member) Run(ctx context.Context) error {
	g := m.gossip
	g.mu.Lock()
	m.running = true
	g.members[m.name] = m
	g.meet()
	g.mu.Unlock()
	g.journal.add(m.name, "joins")
	select {
	case <-m.told:
		m.tryPeers(ctx)
		close(m.joined)
		<-ctx.Done()
	case <-ctx.Done():
	}
	g.mu.Lock()
	m.running = false
	delete(g.members, m.name)
	for _, other := range g.members {
		if other.sees[m.name] && !g.cut[m.name] {
			delete(other.sees, m.name)
			other.left[m.name] = true
			other.changed.Notify()
		}
	}
	g.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	g.journal.add(m.name, "has left")
	return nil
}

// tryPeers waits for peers that are not there.
func (m *member) tryPeers(ctx context.Context) {
	m.gossip.mu.Lock()
	missing := false
	for name := range m.peers {
		missing = missing || name != m.name && !m.sees[name]
	}
	m.gossip.mu.Unlock()
	if missing {
		select {
		case <-time.After(joinTimeout):
		case <-ctx.Done():
		}
	}
}

// SetNodes changes nothing: there is nobody else on this network.
func (m *member) SetNodes([]netip.Addr) {}

func (m *member) SetPeers(peers map[string]netip.Addr) {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	m.peers = maps.Clone(peers)
	select {
	case m.told <- struct{}{}:
	default:
	}
}

func (m *member) SetKey(key []byte) error {
	if err := gossipkey.Check(key); err != nil {
		return err
	}
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	m.key = key
	return nil
}

func (m *member) Keys() [][]byte {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	return [][]byte{m.key}
}

func (m *member) Joined() <-chan struct{}  { return m.joined }
func (m *member) Changed() <-chan struct{} { return m.changed }

func (m *member) Alive() []string {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	return slices.Sorted(slices.Values(slices.AppendSeq([]string{m.name}, maps.Keys(m.sees))))
}

func (m *member) Left(name string) bool {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	return !m.sees[name] && m.left[name]
}

func (m *member) LastSeen(name string) time.Time {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	return m.seen[name]
}

func (m *member) Broadcast(text []byte) {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	m.gossip.journal.add(m.name, "tells "+string(text))
	for name := range m.sees {
		other := m.gossip.members[name]
		if other == nil || m.gossip.cut[name] || m.gossip.cut[m.name] || m.gossip.lost(m.name, name) {
			continue
		}
		other.messages = append(other.messages, membership.Message{From: m.name, Text: text})
		other.changed.Notify()
	}
}

func (m *member) Tell(name string, text []byte) {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	other := m.gossip.members[name]
	if other == nil || m.gossip.cut[name] || m.gossip.cut[m.name] || m.gossip.lost(m.name, name) {
		return
	}
	m.gossip.journal.add(m.name, "tells "+name+" "+string(text))
	if !other.sees[m.name] {
		m.gossip.meet() // it looks for whom it hears
	}
	other.messages = append(other.messages, membership.Message{From: m.name, Text: text})
	other.changed.Notify()
}

func (m *member) Messages() []membership.Message {
	m.gossip.mu.Lock()
	defer m.gossip.mu.Unlock()
	messages := m.messages
	m.messages = nil
	return messages
}
