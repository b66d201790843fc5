package liveness

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

func TestOfManyMembersNoneIsAskedWhereARouterAnswers(t *testing.T) {
	for _, tt := range []struct {
		name        string
		members     int
		answer      bool
		router      bool
		asked, most int
		want        plan.MemberState
	}{
		{"many, and a router", 1000, true, true, 0, 0, plan.Dead},
		{"many, of which none answers, and a router", 1000, false, true, 0, 0, plan.Dead},
		{"many, and no router", 1000, true, false, 500, 2000, plan.Dead},
		{"many, of which none answers, and no router", 1000, false, false, 1000, 4000, plan.Suspect},
		{"just as many as are many, and a router", 50, true, true, 0, 0, plan.Dead},
		{"one less, and a router", 49, true, true, 24, 98, plan.Dead},
		{"few, and a router", 4, true, true, 1, 8, plan.Dead},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				quorum := Quorum{Expected: tt.members + 1}
				suspect := netip.MustParseAddr("192.168.255.255")
				for i := range tt.members {
					ip := netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
					lan.set(ip.String(), tt.answer)
					quorum.InGossip = append(quorum.InGossip, plan.Question{Address: ip, Interface: "eth0"})
				}
				d := NewDetector(lan, func(context.Context) bool { return tt.router }, func(context.Context) bool { return true }, klog.Logger{})
				target := plan.ProbeTarget{Name: "gone", Node: plan.Question{Address: suspect, Interface: "eth0"}}
				d.Update(ctx, []plan.ProbeTarget{target}, quorum)
				time.Sleep(120 * time.Millisecond) // of the test's own time: three questions go unanswered
				synctest.Wait()
				states, _ := d.Update(ctx, []plan.ProbeTarget{target}, quorum)
				count := 0
				for _, q := range lan.take() {
					if q.Address != suspect {
						count++
					}
				}
				if count < tt.asked || count > tt.most {
					t.Errorf("%d members were asked, want %d to %d", count, tt.asked, tt.most)
				}
				if states["gone"] != tt.want {
					t.Errorf("it is %s, want %s", states["gone"], tt.want)
				}
				cancel()
				d.Wait()
			})
		})
	}
}
