package heartbeat

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/announce/bfd"
)

const ms = time.Millisecond

// network is members of which all see each other.
type network struct {
	t       *testing.T
	wire    *bfd.Wire
	six     bool
	members map[string]*member
	// silent are the addresses from which nothing arrives.
	silent map[netip.Addr]bool
	// alive is what the threads of members call that are started; nil: nothing.
	alive func()
}

type member struct {
	*Heartbeats
	name    string
	address netip.Addr
	stop    context.CancelFunc
	ended   chan error
}

func inNetwork(t *testing.T, size int, six bool, test func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, wire: &bfd.Wire{}, six: six, members: map[string]*member{}, silent: map[netip.Addr]bool{}}
		for i, name := range names(size) {
			n.start(name, i, DefaultInterval, "key")
		}
		n.meet()
		test(t, n)
		for _, m := range n.members {
			m.end(t)
		}
	})
}

func (n *network) start(name string, number int, interval time.Duration, key string) *member {
	address := netip.AddrFrom4([4]byte{10, 0, byte(number >> 8), byte(number)})
	if n.six {
		address = netip.AddrFrom16([16]byte{0xfd, 14: byte(number >> 8), 15: byte(number)})
	}
	keys := [][]byte{[]byte(key)}
	m := &member{name: name, address: address, ended: make(chan error)}
	m.Heartbeats = NewOn(Config{
		Address: address, Interval: interval, Keys: func() [][]byte { return keys }, Alive: n.alive,
	}, n.wire.NewSpeaker(address))
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go func() { m.ended <- m.Run(ctx) }()
	n.members[name] = m
	return m
}

// meet has all see those that are there now.
func (n *network) meet() {
	var all []string
	for name := range n.members {
		all = append(all, name)
	}
	for name, m := range n.members {
		neighbours := map[string]netip.Addr{}
		for _, other := range Neighbours(name, all) {
			neighbours[other] = n.members[other].address
		}
		m.Set(neighbours)
	}
}

func (m *member) end(t *testing.T) {
	m.stop()
	if err := <-m.ended; err != nil {
		t.Error(err)
	}
}

// silence has nothing arrive any more that members send.
func (n *network) silence(names ...string) {
	for _, name := range names {
		n.silent[n.members[name].address] = true
	}
	silent := maps.Clone(n.silent)
	n.wire.Lose(func(from, to netip.Addr) bool { return silent[from] || silent[to] })
}

// expect checks how many members miss one, and what they say of it.
func (n *network) expect(when, name string, state State, want int) {
	n.t.Helper()
	count := 0
	for other, m := range n.members {
		if states, _ := m.States(time.Now()); other != name && states[name] > Heard {
			if count++; states[name] != state {
				n.t.Errorf("%s %s finds that %s is %d, want %d", when, other, name, states[name], state)
			}
		}
	}
	if count != want {
		n.t.Errorf("%s %d members miss %s, want %d", when, count, name, want)
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAMemberThatDiesIsLateThenSilentForItsNeighbours(t *testing.T) {
	for _, size := range []int{2, 3, 12} {
		for _, six := range []bool{false, true} {
			t.Run(fmt.Sprint(size, six), func(t *testing.T) {
				inNetwork(t, size, six, func(t *testing.T, n *network) {
					watchers := min(size-1, 2*reach)
					pass(10 * time.Second)
					n.expect("at first", "node-1", 0, 0)
					n.silence("node-1")
					pass(70 * ms)
					n.expect("after 70 ms", "node-1", Late, watchers)
					pass(90 * ms)
					n.expect("after 160 ms", "node-1", Silent, watchers)
					last := n.members["node-0"].LastArrival("node-1")
					for name, m := range n.members {
						if states, _ := m.States(time.Now()); states["node-1"] == Silent {
							if last := time.Since(m.LastHeard("node-1")); last < 160*ms || last > (160+50)*ms {
								t.Errorf("%s says that it heard node-1 %v ago", name, last)
							}
						} else if last := m.LastHeard("node-1"); !last.IsZero() {
							t.Errorf("%s says that it heard node-1 at %v", name, last)
						}
					}
					_, next := n.members["node-0"].States(time.Now())
					if size < 5 && time.Until(next) > silenceFor {
						t.Errorf("asks to be called in %v", time.Until(next))
					}
					pass(silenceFor)
					n.expect("when the gossip knows", "node-1", 0, 0)
					if now := n.members["node-0"].LastArrival("node-1"); now != last || last.IsZero() && size <= 5 {
						t.Errorf("the last heartbeat has come at %v, and then at %v", last, now)
					}
				})
			})
		}
	}
}

// expectHeard checks that the neighbours of a member hear it, and that it hears them.
func (n *network) expectHeard(when, name string) {
	n.t.Helper()
	var all []string
	for other := range n.members {
		all = append(all, other)
	}
	own, _ := n.members[name].States(time.Now())
	for _, other := range Neighbours(name, all) {
		if states, _ := n.members[other].States(time.Now()); states[name] != Heard || own[other] != Heard {
			n.t.Errorf("%s %s finds that %s is %d, which finds that it is %d", when, other, name, states[name], own[other])
		}
	}
}

func TestWhoIsBackIsSoonWatched(t *testing.T) {
	cut := func(d time.Duration) func(n *network) {
		return func(n *network) {
			n.silence("node-1")
			pass(d)
			clear(n.silent)
			n.silence()
		}
	}
	for name, happens := range map[string]func(n *network){
		"who joins":                     func(n *network) { n.start("node-9", 9, 0, "key"); n.meet() },
		"who was cut off for a moment":  cut(200 * ms),
		"who was cut off for a second":  cut(time.Second),
		"who was cut off for a minute":  cut(time.Minute),
		"who was not heard for a while": func(n *network) { n.silence("node-1"); pass(149 * ms); clear(n.silent); n.silence() },
		"who is started again": func(n *network) {
			n.members["node-1"].end(n.t)
			n.start("node-1", 1, 0, "key")
			n.meet()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNetwork(t, 4, false, func(t *testing.T, n *network) {
				pass(10 * time.Second)
				happens(n)
				who := "node-1"
				if n.members["node-9"] != nil {
					who = "node-9"
				}
				pass(250 * ms)
				n.expectHeard("after 250 ms", who)
				pass(100 * ms)
				n.silence(who)
				pass(160 * ms)
				n.expect("when it dies", who, Silent, min(len(n.members)-1, 2*reach))
			})
		})
	}
}

func TestWhatIsNoSilence(t *testing.T) {
	for name, happens := range map[string]func(n *network){
		"a member that is stopped": func(n *network) { n.members["node-1"].stop() },
		"one that is not in sight": func(n *network) { delete(n.members, "node-1"); n.meet() },
		"one that was never heard": func(n *network) { n.start("node-9", 9, 0, "another key"); n.meet() },
		"one that joins":           func(n *network) { n.start("node-9", 9, 0, "key"); n.meet() },
		"a packet that is lost":    func(n *network) { n.silence("node-1"); pass(20 * ms); clear(n.silent); n.silence() },
		"beats that are missing before a pause of ours": func(n *network) {
			n.silence("node-1")
			pass(40 * ms)
			n.forget()
			clear(n.silent)
			n.silence()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNetwork(t, 4, false, func(t *testing.T, n *network) {
				pass(10 * time.Second)
				gone := n.members["node-1"]
				happens(n)
				for range 100 {
					for other, m := range n.members {
						if states, _ := m.States(time.Now()); m != gone && slices.Contains(slices.Collect(maps.Values(states)), Silent) {
							t.Errorf("%s misses %v", other, states)
						}
					}
					pass(50 * ms)
				}
				if n.members["node-1"] == nil {
					gone.end(t)
				} else if name == "a member that is stopped" {
					<-gone.ended
					delete(n.members, "node-1")
				}
			})
		})
	}
}

// forget has all members know that they have not run for a while.
func (n *network) forget() {
	for _, m := range n.members {
		m.Forget(time.Now())
	}
}

func TestWhoIsNotHeardAfterAPauseOfOursIsSilent(t *testing.T) {
	for name, before := range map[string]time.Duration{"long before it": 200 * ms, "shortly before it": 20 * ms, "in that moment": 0} {
		t.Run(name, func(t *testing.T) {
			inNetwork(t, 4, false, func(t *testing.T, n *network) {
				pass(10 * time.Second)
				n.silence("node-1")
				pass(before)
				n.forget()
				n.expect("at once", "node-1", 0, 0)
				for range 14 {
					pass(10 * ms)
					for _, m := range n.members {
						if states, _ := m.States(time.Now()); states["node-1"] == Silent {
							t.Errorf("its silence counts too early: %v", states)
						}
					}
				}
				pass(20 * ms)
				n.expect("after 160 ms", "node-1", Silent, 3)
				pass(silenceFor)
				n.expect("when the gossip knows", "node-1", 0, 0)
			})
		})
	}
}

func TestAMemberThatIsHeardAgainIsSilentNoMore(t *testing.T) {
	inNetwork(t, 3, false, func(t *testing.T, n *network) {
		pass(10 * time.Second)
		n.silence("node-1")
		pass(200 * ms)
		n.expect("after 200 ms", "node-1", Silent, 2)
		clear(n.silent)
		n.silence()
		pass(1500 * ms)
		n.expect("when it is back", "node-1", 0, 0)
		pass(5 * time.Second)
		n.silence("node-1")
		pass(160 * ms)
		n.expect("when it dies", "node-1", Silent, 2)
	})
}

func TestTheIntervalThatIsAskedForCounts(t *testing.T) {
	for _, interval := range []time.Duration{MinimumInterval, DefaultInterval, 200 * ms} {
		inNetwork(t, 0, false, func(t *testing.T, n *network) {
			n.start("a", 1, interval, "key")
			n.start("b", 2, interval, "key")
			n.meet()
			pass(10 * time.Second)
			n.silence("b")
			pass(2 * interval)
			n.expect("after two intervals", "b", Late, 1)
			pass(interval)
			n.expect("after three", "b", Silent, 1)
		})
	}
}

func TestWhatAMemberSendsDoesNotGrowWithTheCluster(t *testing.T) {
	const seconds = 1
	sent := map[int]float64{}
	for _, size := range []int{10, 200} {
		inNetwork(t, size, false, func(t *testing.T, n *network) {
			pass(3 * time.Second) // all have met
			var packets atomic.Int64
			n.wire.Hear(func(netip.Addr) { packets.Add(1) })
			pass(seconds * time.Second)
			sent[size] = float64(packets.Load()) / float64(size) / seconds
		})
	}
	t.Logf("packets of a member in a second: %v", sent)
	if sent[200] > 1.05*sent[10] || sent[200] > 4*27 || sent[200] < 4*20 {
		t.Errorf("a member sends so many packets in a second: %v", sent)
	}
}

func TestTheHeartbeatsOfAMemberLeaveTogether(t *testing.T) {
	const seconds = 5
	inNetwork(t, 10, false, func(t *testing.T, n *network) {
		pass(5 * time.Second)
		var mu sync.Mutex
		moments, packets := map[netip.Addr]map[time.Time]bool{}, 0
		n.wire.Hear(func(from netip.Addr) {
			mu.Lock()
			defer mu.Unlock()
			if moments[from] == nil {
				moments[from] = map[time.Time]bool{}
			}
			moments[from][time.Now()] = true
			packets++
		})
		pass(seconds * time.Second)
		mu.Lock()
		defer mu.Unlock()
		for from, at := range moments {
			if len(at) > 27*seconds {
				t.Errorf("%s sends in %d moments, of %d packets by all", from, len(at), packets)
			}
		}
	})
}

// Heartbeats that come in time wake nobody, and whoever waits for one hears it at once.
func TestTheNextHeartbeatIsToldIfSomebodyWaitsForIt(t *testing.T) {
	inNetwork(t, 3, false, func(t *testing.T, n *network) {
		m := n.members["node-0"]
		pass(10 * time.Second)
		select {
		case <-m.Changed():
		default:
		}
		pass(time.Second)
		select {
		case <-m.Changed():
			t.Error("heartbeats in time are told")
		default:
		}
		asked := time.Now()
		m.Await("node-1", asked)
		<-m.Changed()
		if last := m.LastArrival("node-1"); !last.After(asked) || last != time.Now() || time.Since(asked) > DefaultInterval {
			t.Errorf("told after %v of a heartbeat that came after %v", time.Since(asked), last.Sub(asked))
		}
		pass(time.Second)
		select {
		case <-m.Changed():
			t.Error("more than one is told")
		default:
		}
	})
}

// The thread of the heartbeats shows that the process runs, also where there is nobody to send them to, and until Run ends.
func TestTheThreadShowsThatItRuns(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			last, longest := time.Now(), time.Duration(0)
			alive := func() {
				longest = max(longest, time.Since(last))
				last = time.Now()
			}
			n := &network{t: t, wire: &bfd.Wire{}, members: map[string]*member{}, silent: map[netip.Addr]bool{}, alive: alive}
			n.start("node-0", 0, DefaultInterval, "key")
			n.alive = nil
			for i, name := range names(size) {
				if n.members[name] == nil {
					n.start(name, i, DefaultInterval, "key")
				}
			}
			n.meet()
			pass(10 * time.Second)
			n.members["node-0"].Leave()
			pass(10 * time.Second)
			n.members["node-0"].end(t)
			delete(n.members, "node-0")
			longest = max(longest, time.Since(last))
			for _, m := range n.members {
				m.end(t)
			}
			if longest > DefaultInterval {
				t.Errorf("%d members: it has shown nothing for %v", size, longest)
			}
		})
	}
}
