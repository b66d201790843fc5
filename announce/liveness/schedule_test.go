package liveness

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

const recordedMAC = "02:00:00:00:00:01"

// withDetector runs a test with a Detector on a LAN where nobody answers at first. It reaches whatever reaches says.
func withDetector(t *testing.T, reaches bool, test func(lan *neighbourhood, d *Detector, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		way := func(context.Context) bool { return reaches }
		d := NewDetector(lan, way, way, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		test(lan, d, ctx)
	})
}

// member is a suspect with a number, whose node is 192.168.10.N and who has announced 192.168.20.N.
func member(n int) plan.ProbeTarget {
	question := func(format string) plan.Question {
		return plan.Question{Address: netip.MustParseAddr(fmt.Sprintf(format, n)), Interface: "eth0", MAC: recordedMAC}
	}
	return plan.ProbeTarget{Name: fmt.Sprint("n", n), Node: question("192.168.10.%d"), Announced: question("192.168.20.%d")}
}

// askedFor counts questions by address.
func askedFor(questions []layer2.Question) map[string]int {
	counts := map[string]int{}
	for _, q := range questions {
		counts[q.Address.String()]++
	}
	return counts
}

func TestWhoIsAskedAtOnceWhenSomethingChanges(t *testing.T) {
	type input struct {
		n1, n2 plan.ProbeTarget
		quorum Quorum
	}
	for _, tt := range []struct {
		name   string
		change func(in *input)
		n1, n2 bool
	}{
		{"nothing", func(*input) {}, false, false},
		{"how many announcers there should be", func(in *input) { in.quorum.Expected++ }, true, true},
		{"how many the gossip sees", func(in *input) { in.quorum.InGossip = in.quorum.InGossip[:1] }, true, true},
		{"an address that one has announced", func(in *input) { in.n1.Announced.MACs = "02:00:00:00:00:09" }, true, false},
		{"one has said that it leaves", func(in *input) { in.n1.Left = true }, true, false},
		{"another member is out of sight", func(in *input) { in.n2 = member(3) }, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDetector(t, true, func(lan *neighbourhood, d *Detector, ctx context.Context) {
				for _, ip := range []string{"192.168.10.1", "192.168.20.1", "192.168.10.2", "192.168.20.2"} {
					lan.set(ip, true)
				}
				far := []plan.Question{{}, {}}
				in := input{member(1), member(2), Quorum{Expected: 5, InGossip: far}}
				update := func() {
					d.Update(ctx, []plan.ProbeTarget{in.n1, in.n2}, in.quorum)
					synctest.Wait()
				}
				update()
				time.Sleep(time.Minute)
				for range 50 { // both are in the middle of their pauses
					synctest.Wait()
					lan.take()
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					if len(lan.take()) == 0 {
						break
					}
				}
				tt.change(&in)
				update()
				asked := askedFor(lan.take())
				if asked["192.168.10.1"] > 0 != tt.n1 || asked["192.168.10.2"] > 0 != tt.n2 {
					t.Errorf("asked at once: %v", asked)
				}
			})
		})
	}
}

func TestWhoIsNewlySuspectedIsAskedForOnceAtFirst(t *testing.T) {
	withDetector(t, true, func(lan *neighbourhood, d *Detector, ctx context.Context) {
		for _, ip := range []string{"192.168.10.1", "192.168.20.1"} {
			lan.set(ip, true)
		}
		d.Update(ctx, []plan.ProbeTarget{member(1)}, Quorum{Expected: 3})
		synctest.Wait()
		if got := askedFor(lan.take()); got["192.168.10.1"] != 1 {
			t.Errorf("asked for %v", got)
		}
	})
}

func TestOneThatTheGossipLosesHasAllAskedAnew(t *testing.T) {
	for name, lost := range map[string]bool{"lost": true, "late, and silent now": false} {
		t.Run(name, func(t *testing.T) {
			withDetector(t, true, func(lan *neighbourhood, d *Detector, ctx context.Context) {
				for _, ip := range []string{"192.168.10.1", "192.168.20.1", "192.168.10.2"} {
					lan.set(ip, true)
				}
				late := member(2)
				late.InSight = true
				d.Update(ctx, []plan.ProbeTarget{member(1), late}, Quorum{Expected: 5})
				time.Sleep(time.Minute)
				for asked := true; asked; { // of n1 just now
					synctest.Wait()
					lan.take()
					time.Sleep(time.Second)
					synctest.Wait()
					asked = askedFor(lan.take())["192.168.10.1"] > 0
				}
				late.InSight, late.Silent = !lost, true
				d.Update(ctx, []plan.ProbeTarget{member(1), late}, Quorum{Expected: 5})
				synctest.Wait()
				if got := askedFor(lan.take())["192.168.10.1"] > 0; got != lost {
					t.Errorf("the other one is asked for: %t", got)
				}
			})
		})
	}
}
