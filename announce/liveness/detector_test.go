package liveness

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
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
}

func (n *neighbourhood) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	n.mu.Lock()
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
	case <-time.After(time.Duration(q.Tries) * q.Interval):
		return layer2.Answer{}, false, nil
	}
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
	far := plan.ProbeTarget{Name: "n1"}
	const friend = "192.168.10.12"
	most := Sighted{3, []plan.Question{{Address: netip.MustParseAddr(friend), Interface: "eth0"}}}
	few := Sighted{Expected: 2}
	farAway := Sighted{3, []plan.Question{{}}}
	lost := Sighted{3, []plan.Question{{Address: netip.MustParseAddr("192.168.10.13"), Interface: "eth0"}}}
	for _, tt := range []struct {
		name     string
		suspect  plan.ProbeTarget
		company  Sighted
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
		{"a node without its announcer pauses", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 100 * time.Millisecond, plan.AnnouncerDown, false, false},
		{"for a while", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 59 * time.Second, plan.AnnouncerDown, false, false},
		{"not for ever", whole, most, true, func(n *neighbourhood) { n.set(node, true) }, 62 * time.Second, plan.Dead, false, false},
		{"an announcer that answers is only unseen", whole, few, false, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true)
		}, time.Hour, plan.GossipBlocked, false, false},
		{"one that has left may still answer for a moment", left, most, true, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true)
		}, time.Millisecond, plan.AnnouncerDown, false, false},
		{"a caretaker's answer is not the announcer's", whole, most, true, func(n *neighbourhood) {
			n.set(node, true)
			n.set(vip, true, 9)
		}, 100 * time.Millisecond, plan.AnnouncerDown, false, false},
		{"those that the gossip still sees may be gone themselves", whole, lost, false, func(*neighbourhood) {}, time.Second, plan.Suspect, true, false},
		{"members that cannot be asked count", whole, farAway, false, func(*neighbourhood) {}, 100 * time.Millisecond, plan.Dead, false, false},
		{"who cannot be asked is dead for a majority", far, most, false, func(*neighbourhood) {}, time.Millisecond, plan.Dead, false, false},
		{"who cannot be asked is not dead for a minority", far, few, true, func(*neighbourhood) {}, time.Minute, plan.Suspect, false, false},
		{"nor is one whose interface is gone", whole, few, true, func(n *neighbourhood) { n.fails = true }, time.Minute, plan.Suspect, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				lan.set(friend, true)
				tt.lan(lan)
				v := NewDetector(nil, func(context.Context) bool { return tt.router }, func(context.Context) bool { return tt.api }, klog.Logger{})
				v.prober = lan
				ctx, cancel := context.WithCancel(t.Context())
				defer v.Wait()
				defer cancel()
				v.Update(ctx, []plan.ProbeTarget{tt.suspect}, tt.company)
				time.Sleep(tt.after)
				if tt.after > 0 {
					synctest.Wait()
				}
				absent, isolated := v.Update(ctx, []plan.ProbeTarget{tt.suspect}, tt.company)
				if absent["n1"] != tt.want || isolated != tt.isolated {
					t.Errorf("found %v, isolated %t; want %v, %t", absent["n1"], isolated, tt.want, tt.isolated)
				}
			})
		})
	}
}

func TestAVigilFollowsWhatHappens(t *testing.T) {
	const node, vip = "192.168.10.11", "192.168.10.222"
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		reached := true
		v := NewDetector(nil, func(context.Context) bool { return reached }, func(context.Context) bool { return false }, klog.Logger{})
		v.prober = lan
		ctx, cancel := context.WithCancel(t.Context())
		defer v.Wait()
		defer cancel()
		s := []plan.ProbeTarget{{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr(node), Interface: "eth0"}, Announced: plan.Question{Address: netip.MustParseAddr(vip), Interface: "eth0"}}}
		expect := func(when string, want plan.MemberState, isolated bool) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if absent, is := v.Update(ctx, s, Sighted{Expected: 2}); absent["n1"] != want || is != isolated {
				t.Errorf("%s: %v, isolated %t; want %v, %t", when, absent["n1"], is, want, isolated)
			}
		}
		v.Update(ctx, s, Sighted{Expected: 2})
		lan.set(node, true)
		lan.set(vip, true)
		expect("gossip blocked", plan.GossipBlocked, false)
		lan.set(vip, false)
		expect("its announcer stopped", plan.AnnouncerDown, false)
		lan.set(vip, true)
		expect("and is back", plan.GossipBlocked, false)
		reached = false
		lan.set(node, false)
		expect("this node is cut off", plan.Suspect, true)
		reached = true
		lan.set(node, true)
		expect("and is back", plan.GossipBlocked, false)
		lan.set(node, false)
		expect("the other is dead", plan.Dead, false)
		lan.set(node, true)
		expect("and answers again, which is for the gossip to see", plan.Dead, false)
		if absent, _ := v.Update(ctx, nil, Sighted{Expected: 2}); len(absent) != 0 {
			t.Errorf("watches %v", absent)
		}
	})
}

func TestOfSeveralThatDieAtOnceNoneIsGoneBeforeAllWereLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		yes := func(context.Context) bool { return true }
		v := NewDetector(nil, yes, yes, klog.Logger{})
		v.prober = lan
		ctx, cancel := context.WithCancel(t.Context())
		defer v.Wait()
		defer cancel()
		n1 := plan.ProbeTarget{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}}
		n2 := plan.ProbeTarget{Name: "n2", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.12"), Interface: "eth0"}}
		v.Update(ctx, []plan.ProbeTarget{n1}, Sighted{Expected: 3})
		time.Sleep(50 * time.Millisecond)
		both := []plan.ProbeTarget{n1, n2}
		v.Update(ctx, both, Sighted{Expected: 3})
		for range 2 {
			<-v.changed // news of n1
			if absent, _ := v.Update(ctx, both, Sighted{Expected: 3}); absent["n1"] != plan.Suspect {
				t.Fatal("n1 is gone, n2 was not looked at")
			}
			synctest.Wait()
			if len(v.changed) == 0 {
				break
			}
		}
		<-v.changed
		synctest.Wait()
		if absent, _ := v.Update(ctx, both, Sighted{Expected: 3}); absent["n1"] != plan.Dead || absent["n2"] != plan.Dead {
			t.Errorf("found %v", absent)
		}
		n3 := plan.ProbeTarget{Name: "n3", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.13"), Interface: "eth0"}}
		if absent, _ := v.Update(ctx, append(both, n3), Sighted{Expected: 4}); absent["n1"] != plan.Dead || absent["n2"] != plan.Dead || absent["n3"] != plan.Suspect {
			t.Errorf("with another one, found %v", absent)
		}
	})
}
