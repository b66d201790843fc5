package announce

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bfd"
)

// losses is a LAN that loses packets: questions, answers and heartbeats of their own machine, messages and sight of the gossip.
type losses struct {
	mu     sync.Mutex
	random *rand.Rand
	// share is how many packets are lost from one node to another; "" is a host that is none.
	share func(from, to string) float64
}

func (l *losses) lost(from, to string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.share != nil && l.random.Float64() < l.share(from, to)
}

func (l *losses) set(share func(from, to string) float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share = share
}

// lossy has the LAN lose packets, none at first, and heartbeats be real ones.
func (c *cluster) lossy(seed uint64) *losses {
	l := &losses{random: rand.New(rand.NewPCG(seed, 50))}
	c.lan.lost, c.gossip.lost = l.lost, l.lost
	c.wire = &bfd.Wire{}
	c.wire.Lose(func(from, to netip.Addr) bool {
		a, b := c.lan.connectedAt(from), c.lan.connectedAt(to)
		return a == "" || b == "" || l.lost(a, b)
	})
	return l
}

// connectedAt is the node at an address; "" if it is not connected.
func (l *fakeLAN) connectedAt(address netip.Addr) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.stations {
		if s.address == address && s.connected {
			return s.node
		}
	}
	return ""
}

// flap has members lose sight of each other and see each other again, as a gossip does of which packets are lost.
func (c *cluster) flap() {
	g := c.gossip
	g.mu.Lock()
	defer g.mu.Unlock()
	for a, m := range g.members {
		for b := range g.members {
			if a == b || g.cut[a] || g.cut[b] {
				continue
			}
			if in, out := g.lost(a, b), g.lost(b, a); m.sees[b] == (in || out) {
				m.sees[b] = !m.sees[b]
				if !m.sees[b] {
					delete(m.sees, b)
				}
				m.seen[b] = time.Now()
				m.changed.Notify()
			}
		}
	}
}

// atNode is a loss of what comes to a node, and of what goes out from it.
func atNode(node string, in, out float64) func(from, to string) float64 {
	return func(from, to string) float64 {
		switch node {
		case to:
			return in
		case from:
			return out
		}
		return 0
	}
}

func TestPacketsThatAreLostMoveNothing(t *testing.T) {
	for name, share := range map[string]func(part float64) func(from, to string) float64{
		"by a switch":         func(p float64) func(_, _ string) float64 { return func(_, _ string) float64 { return p } },
		"to the owner":        func(p float64) func(_, _ string) float64 { return atNode("n1", p, 0) },
		"from the owner":      func(p float64) func(_, _ string) float64 { return atNode("n1", 0, p) },
		"to and from it":      func(p float64) func(_, _ string) float64 { return atNode("n1", p, p) },
		"to and from an heir": func(p float64) func(_, _ string) float64 { return atNode("n2", p, p) },
	} {
		for part, sizes := range map[float64][]int{0.1: {3}, 0.3: {2}, 0.5: {2, 4}} {
			for _, size := range sizes {
				t.Run(fmt.Sprint(name, part, size), func(t *testing.T) {
					names := nodesNamed(size)
					inCluster(t, names, func(t *testing.T, c *cluster) {
						lan := c.lossy(uint64(size))
						c.settle(names)
						lan.set(share(part))
						c.keepsWhatItHas(lan, "n1", 20*time.Second)
						lan.set(nil)
						c.after(time.Second)
						c.flap() // all see each other again
						c.after(10 * time.Second)
						c.powerOff(c.running["n1"])
						c.after(300 * time.Millisecond)
						if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
							t.Errorf("%s answer after the owner has lost its power", owners)
						}
					})
				})
			}
		}
	}
}

// keepsWhatItHas checks for a while that a node answers all the time, and that nobody else does or writes.
func (c *cluster) keepsWhatItHas(lan *losses, node string, during time.Duration) {
	c.t.Helper()
	c.journal.take()
	for range during / (100 * time.Millisecond) {
		c.flap()
		for name, r := range c.running { // the same packets are lost on the way to the API server
			r.connection.setReachable(!lan.lost(name, "") && !lan.lost("", name))
		}
		c.after(100 * time.Millisecond)
		if owners := c.lan.owners(addr(vip)); !slices.Equal(owners, []string{node}) {
			c.t.Errorf("%s answer", owners)
			break
		}
	}
	for _, line := range c.journal.take() {
		if strings.Contains(line, "answers for") || strings.Contains(line, "moved") {
			c.t.Error(line)
		}
	}
	for _, r := range c.running {
		r.connection.setReachable(true)
	}
}

// between is a loss of all that goes from one of two nodes to the other.
func between(a, b string) func(from, to string) float64 {
	return func(from, to string) float64 {
		if from == a && to == b || from == b && to == a {
			return 1
		}
		return 0
	}
}

// TestWhoIsHeardByOthersIsNotDead has some nodes not reach the owner, while all others do: as where several cables connect two switches,
// and one of them loses what it gets.
func TestWhoIsHeardByOthersIsNotDead(t *testing.T) {
	for size, deaf := range map[int]int{3: 1, 4: 2, 6: 2} {
		for at := 0; at < size-deaf; at += deaf {
			t.Run(fmt.Sprint(size, at), func(t *testing.T) {
				names := nodesNamed(size)
				inCluster(t, names, func(t *testing.T, c *cluster) {
					lan := c.lossy(uint64(at))
					c.settle(names)
					for n := range deaf {
						before := lan.share
						broken := between("n1", names[1+at+n])
						lan.set(func(from, to string) float64 {
							if before != nil && before(from, to) > 0 {
								return 1
							}
							return broken(from, to)
						})
						c.after(time.Duration(n*37) * time.Millisecond)
					}
					for range 40 { // the gossip sees all, since members ask others to probe for them
						c.after(100 * time.Millisecond)
						c.expectOwners(vip, "n1")
						if t.Failed() {
							return
						}
					}
					c.powerOff(c.running["n1"])
					c.after(300 * time.Millisecond)
					if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
						t.Errorf("%s answer after the owner has lost its power", owners)
					}
				})
			})
		}
	}
}

func TestANodeThatWasSuspendedKeepsWhatItHasThoughPacketsAreLost(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			names := nodesNamed(size)
			inCluster(t, names, func(t *testing.T, c *cluster) {
				lan := c.lossy(uint64(size))
				c.settle(names)
				lan.set(func(_, _ string) float64 { return 0.4 })
				for range 20 {
					c.running["n1"].wakeUp(300 * time.Millisecond)
					c.after(time.Second)
					c.expectOwners(vip, "n1")
				}
				for _, line := range c.journal.take() {
					if line == "n1 answers for nothing" {
						t.Error("it has given everything up")
					}
				}
			})
		})
	}
}

// TestAMemberThatDiesJustWhenAnotherHasHeardItIsDeadInTime has one node not hear the owner for a moment before that loses its power.
func TestAMemberThatDiesJustWhenAnotherHasHeardItIsDeadInTime(t *testing.T) {
	for _, deaf := range []string{"n2", "n3"} {
		for _, before := range []time.Duration{70, 100, 130, 200} {
			t.Run(fmt.Sprint(deaf, before), func(t *testing.T) {
				names := nodesNamed(3)
				inCluster(t, names, func(t *testing.T, c *cluster) {
					lan := c.lossy(1)
					c.settle(names)
					lan.set(between("n1", deaf))
					c.after(before * time.Millisecond)
					c.powerOff(c.running["n1"])
					c.after(silentAfter + 60*time.Millisecond)
					if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
						t.Errorf("%s answer", owners)
					}
				})
			})
		}
	}
}
