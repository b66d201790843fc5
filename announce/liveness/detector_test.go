package liveness

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// neighbourhood answers questions as a LAN would.
type neighbourhood struct {
	mu      sync.Mutex
	answers map[netip.Addr]layer2.Answer
	fails   bool
	asked   []layer2.Question
}

// take returns what was asked since the last call.
func (n *neighbourhood) take() []layer2.Question {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = nil
	return asked
}

func (n *neighbourhood) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	n.mu.Lock()
	n.asked = append(n.asked, q)
	a, there := n.answers[q.Address]
	fails := n.fails
	n.mu.Unlock()
	if fails {
		return layer2.Answer{}, false, errors.New("no such interface")
	}
	if there && (q.Accept == nil || q.Accept(a)) {
		return a, true, nil
	}
	select {
	case <-ctx.Done():
		return layer2.Answer{}, false, ctx.Err()
	case <-time.After(takes(q)):
	}
	if q.Unanswered != nil {
		q.Unanswered(ctx)
	}
	return layer2.Answer{}, false, nil
}

func (n *neighbourhood) set(ip string, answers bool, source ...byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.answers, netip.MustParseAddr(ip))
	if answers {
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
		a := layer2.Answer{MAC: mac, Source: mac}
		if len(source) > 0 {
			a.Source = net.HardwareAddr{2, 0, 0, 0, 0, source[0]}
		}
		n.answers[netip.MustParseAddr(ip)] = a
	}
}

func TestWhatBecameOfAMemberOutOfSight(t *testing.T) {
	const node, vip = "192.168.10.11", "192.168.10.222"
	whole := plan.ProbeTarget{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr(node), Interface: "eth0"}, Announced: plan.Question{Address: netip.MustParseAddr(vip), Interface: "eth0"}}
	left := whole
	left.Left = true
	known := whole // its hardware address is recorded
	known.Node.MACs, known.Announced.MACs = "02:00:00:00:00:09,02:00:00:00:00:0a", "02:00:00:00:00:09,02:00:00:00:00:0a"
	far := plan.ProbeTarget{Name: "n1"}
	const peer = "192.168.10.12"
	most := Quorum{Expected: 3, InGossip: []plan.Question{{Address: netip.MustParseAddr(peer), Interface: "eth0"}}}
	few := Quorum{Expected: 2}
	farAway := Quorum{Expected: 3, InGossip: []plan.Question{{}}}
	lost := Quorum{Expected: 3, InGossip: []plan.Question{{Address: netip.MustParseAddr("192.168.10.13"), Interface: "eth0"}}}
	for _, tt := range []struct {
		name     string
		suspect  plan.ProbeTarget
		quorum   Quorum
		router   bool
		lan      func(n *neighbourhood)
		after    time.Duration
		want     plan.MemberState
		isolated bool
		api      bool
	}{
		{"at first nothing is known", whole, most, true, func(*neighbourhood) {}, 0, plan.Suspect, false, false},
		{"a silent node is dead, for a majority", whole, most, false, func(*neighbourhood) {}, 100 * time.Millisecond, plan.Dead, false, false},
		{"a silent node is dead, for one that sees a router", whole, few, true, func(*neighbourhood) {}, 100 * time.Millisecond, plan.Dead, false, false},
		{"one that sees nobody at all is itself cut off", whole, few, false, func(*neighbourhood) {}, time.Second, plan.Suspect, true, false},
		{"one that reaches only the API server may be cut off itself", whole, few, false, func(*neighbourhood) {}, time.Second, plan.Suspect, false, true},
		{"a node in whose place a host answers for everything is dead", known, few, true, func(n *neighbourhood) { n.set(node, true); n.set(vip, true) }, 100 * time.Millisecond, plan.Dead, false, false},
		{"hosts that answer in the place of nodes are no majority", whole, Quorum{Expected: 3, InGossip: []plan.Question{{Address: netip.MustParseAddr(peer), Interface: "eth0", MACs: known.Node.MACs}}}, false, func(n *neighbourhood) { n.set(peer, true) }, time.Second, plan.Suspect, true, false},
		{"the announcer of a node that answers is down", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 100 * time.Millisecond, plan.AnnouncerDown, false, false},
		{"for a while", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 59 * time.Second, plan.AnnouncerDown, false, false},
		{"not for ever", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 62 * time.Second, plan.Dead, false, false},
		{"only the gossip of an announcer that answers is blocked", whole, few, false, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true)
		}, time.Hour, plan.GossipBlocked, false, false},
		{"one that has left may still answer for a moment", left, most, true, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true)
		}, time.Millisecond, plan.AnnouncerDown, false, false},
		{"the answer of a node that proxies is not the announcer's", whole, most, true, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true, 9)
		}, 100 * time.Millisecond, plan.AnnouncerDown, false, false},
		{"those that the gossip still sees may be dead themselves", whole, lost, false, func(*neighbourhood) {}, time.Second, plan.Suspect, true, false},
		{"members that cannot be asked count", whole, farAway, false, func(*neighbourhood) {}, 100 * time.Millisecond, plan.Dead, false, false},
		{"who cannot be asked is dead for a majority", far, most, false, func(*neighbourhood) {}, time.Millisecond, plan.Dead, false, false},
		{"who cannot be asked is not dead for a minority", far, few, true, func(*neighbourhood) {}, time.Minute, plan.Suspect, false, false},
		{"nor is one whose interface is gone", whole, few, true, func(n *neighbourhood) { n.fails = true }, time.Minute, plan.Suspect, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				lan.set(peer, true)
				tt.lan(lan)
				d := NewDetector(lan, func(context.Context) bool { return tt.router }, func(context.Context) bool { return tt.api }, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				d.Update(ctx, []plan.ProbeTarget{tt.suspect}, tt.quorum)
				time.Sleep(tt.after)
				if tt.after > 0 {
					synctest.Wait()
				}
				states, isolated := d.Update(ctx, []plan.ProbeTarget{tt.suspect}, tt.quorum)
				if states["n1"] != tt.want || isolated != tt.isolated {
					t.Errorf("found %v, isolated %t; want %v, %t", states["n1"], isolated, tt.want, tt.isolated)
				}
			})
		})
	}
}

func TestAnInvestigationFollowsWhatHappens(t *testing.T) {
	const node, vip = "192.168.10.11", "192.168.10.222"
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		var reached atomic.Bool
		reached.Store(true)
		d := NewDetector(lan, func(context.Context) bool { return reached.Load() }, func(context.Context) bool { return false }, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		s := []plan.ProbeTarget{{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr(node), Interface: "eth0"}, Announced: plan.Question{Address: netip.MustParseAddr(vip), Interface: "eth0"}}}
		expect := func(when string, want plan.MemberState, isolated bool) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if states, is := d.Update(ctx, s, Quorum{Expected: 2}); states["n1"] != want || is != isolated {
				t.Errorf("%s: %v, isolated %t; want %v, %t", when, states["n1"], is, want, isolated)
			}
		}
		d.Update(ctx, s, Quorum{Expected: 2})
		lan.set(node, true)
		lan.set(vip, true)
		expect("gossip blocked", plan.GossipBlocked, false)
		lan.set(vip, false)
		expect("its announcer stopped", plan.AnnouncerDown, false)
		lan.set(vip, true)
		expect("and is back", plan.GossipBlocked, false)
		reached.Store(false)
		lan.set(node, false)
		expect("this node is cut off", plan.Suspect, true)
		reached.Store(true)
		lan.set(node, true)
		expect("and is back", plan.GossipBlocked, false)
		lan.set(node, false)
		expect("the other is dead", plan.Dead, false)
		lan.set(node, true)
		expect("and answers again, which is for the gossip to see", plan.Dead, false)
		if states, _ := d.Update(ctx, nil, Quorum{Expected: 2}); len(states) != 0 {
			t.Errorf("investigates %v", states)
		}
	})
}

func TestAsLongAsNothingChangesASuspectIsAskedLessAndLess(t *testing.T) {
	const node, vip, recorded = "192.168.10.11", "192.168.10.222", "02:00:00:00:00:01"
	for name, tt := range map[string]struct {
		lan  func(n *neighbourhood)
		want plan.MemberState
	}{
		"its announcer is down": {func(n *neighbourhood) { n.set(node, true) }, plan.AnnouncerDown},
		"its gossip is blocked": {func(n *neighbourhood) { n.set(node, true); n.set(vip, true) }, plan.GossipBlocked},
		"it cannot be judged":   {func(n *neighbourhood) {}, plan.Suspect},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				tt.lan(lan)
				no := func(context.Context) bool { return false }
				d := NewDetector(lan, no, no, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				target := plan.ProbeTarget{
					Name:      "n1",
					Node:      plan.Question{Address: netip.MustParseAddr(node), Interface: "eth0", MACs: recorded, MAC: recorded},
					Announced: plan.Question{Address: netip.MustParseAddr(vip), Interface: "eth0", MACs: recorded, MAC: recorded},
				}
				update := func() plan.MemberState {
					states, _ := d.Update(ctx, []plan.ProbeTarget{target}, Quorum{Expected: 2})
					return states["n1"]
				}
				update()
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if got := update(); got != tt.want {
					t.Errorf("at once %v, want %v", got, tt.want)
				}
				time.Sleep(10 * time.Second)
				lan.take()
				time.Sleep(30 * time.Second)
				synctest.Wait()
				asked, broadcasts := lan.take(), 0
				for _, q := range asked {
					if q.MAC.String() != recorded || q.Broadcast == 1 {
						t.Errorf("all hosts are asked first: %+v", q)
					}
					if q.Address.String() == vip && q.Broadcast > 0 {
						broadcasts++
					}
				}
				if rounds := int(30*time.Second/d.timing.maxPause) + 1; len(asked) > 2*rounds || broadcasts > 2 {
					t.Errorf("asked %d times in 30 s, %d times with a broadcast for its announcer", len(asked), broadcasts)
				}
				time.Sleep(time.Second)
				lan.take()
				target.Left = true
				update()
				synctest.Wait()
				if len(lan.take()) == 0 {
					t.Error("what has changed has it not asked for")
				}
			})
		})
	}
}

func TestASuspectThatDiesWhileItIsAskedLessOftenIsNoticed(t *testing.T) {
	const node, vip = "192.168.10.11", "192.168.10.222"
	for name, tt := range map[string]struct {
		before func(n *neighbourhood)
		after  func(n *neighbourhood)
		want   plan.MemberState
	}{
		"its node": {func(n *neighbourhood) { n.set(node, true) }, func(n *neighbourhood) { n.set(node, false) }, plan.Dead},
		"its announcer": {func(n *neighbourhood) { n.set(node, true); n.set(vip, true) },
			func(n *neighbourhood) { n.set(vip, false) }, plan.AnnouncerDown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				tt.before(lan)
				yes := func(context.Context) bool { return true }
				d := NewDetector(lan, yes, yes, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				targets := []plan.ProbeTarget{{
					Name:      "n1",
					Node:      plan.Question{Address: netip.MustParseAddr(node), Interface: "eth0"},
					Announced: plan.Question{Address: netip.MustParseAddr(vip), Interface: "eth0"},
				}}
				d.Update(ctx, targets, Quorum{Expected: 2})
				time.Sleep(40 * time.Second)
				tt.after(lan)
				time.Sleep(d.timing.maxPause + time.Second)
				synctest.Wait()
				if states, _ := d.Update(ctx, targets, Quorum{Expected: 2}); states["n1"] != tt.want {
					t.Errorf("found %v, want %v", states["n1"], tt.want)
				}
			})
		})
	}
}

func TestOfSeveralThatDieAtOnceNoneIsDeadBeforeAllWereProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		yes := func(context.Context) bool { return true }
		d := NewDetector(lan, yes, yes, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		n1 := plan.ProbeTarget{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}}
		n2 := plan.ProbeTarget{Name: "n2", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.12"), Interface: "eth0"}}
		d.Update(ctx, []plan.ProbeTarget{n1}, Quorum{Expected: 3})
		time.Sleep(50 * time.Millisecond)
		both := []plan.ProbeTarget{n1, n2}
		d.Update(ctx, both, Quorum{Expected: 3})
		for range 2 {
			<-d.changed // news of n1
			if states, _ := d.Update(ctx, both, Quorum{Expected: 3}); states["n1"] != plan.Suspect {
				t.Fatal("n1 is dead, n2 was not probed")
			}
			synctest.Wait()
			if len(d.changed) == 0 {
				break
			}
		}
		<-d.changed
		synctest.Wait()
		if states, _ := d.Update(ctx, both, Quorum{Expected: 3}); states["n1"] != plan.Dead || states["n2"] != plan.Dead {
			t.Errorf("found %v", states)
		}
		n3 := plan.ProbeTarget{Name: "n3", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.13"), Interface: "eth0"}}
		if states, _ := d.Update(ctx, append(both, n3), Quorum{Expected: 4}); states["n1"] != plan.Dead || states["n2"] != plan.Dead || states["n3"] != plan.Suspect {
			t.Errorf("with another one, found %v", states)
		}
	})
}
