package liveness

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

func TestANodeWhoseLinkWasDownFirstLooksForTheOthers(t *testing.T) {
	up, down := []plan.Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.10.0/24")}}}, []plan.Interface{{Name: "eth1"}}
	all, two, alone := []string{"n1", "n2", "n3"}, []string{"n1", "n2"}, []string{"n1"}
	start := time.Now()
	type step struct {
		after time.Duration
		up    []plan.Interface
		alive []string
		want  bool
		wait  time.Duration
		// isolated says that the node was found to be cut off.
		isolated bool
		// stale says that the node does not know yet what the API says.
		stale bool
	}
	for _, tt := range []struct {
		name    string
		address string
		steps   []step
	}{
		{"alone from the start", "192.168.10.11", []step{
			{0, up, alone, true, 0, false, false},
			{1, down, alone, false, 0, false, false},
			{2, up, alone, true, 0, false, false},
		}},
		{"the others are found again, one by one", "192.168.10.11", []step{
			{0, up, all, true, 0, false, false},
			{1, down, all, false, 0, false, false},
			{2, down, alone, false, 0, false, false},
			{3, up, alone, false, reconnectTimeout, false, false},
			{4, up, two, false, reconnectTimeout - 1, false, false},
			{5, up, all, true, 0, false, false},
			{6, up, alone, true, 0, false, false},
		}},
		{"the others are dead", "192.168.10.11", []step{
			{0, up, all, true, 0, false, false},
			{1, down, alone, false, 0, false, false},
			{2, up, alone, false, reconnectTimeout, false, false},
			{2 + reconnectTimeout, up, alone, true, 0, false, false},
		}},
		{"the link goes again while waiting", "192.168.10.11", []step{
			{0, up, all, true, 0, false, false},
			{1, down, alone, false, 0, false, false},
			{2, up, alone, false, reconnectTimeout, false, false},
			{3, down, alone, false, 0, false, false},
			{4 + reconnectTimeout, up, alone, false, reconnectTimeout, false, false},
		}},
		{"the link was down for less than others notice", "192.168.10.11", []step{
			{0, up, two, true, 0, false, false},
			{1, down, two, false, 0, false, false},
			{2, up, two, true, 0, false, false},
		}},
		{"cut off with the link up", "192.168.10.11", []step{
			{after: 0, up: up, alive: all, want: true},
			{after: 1, up: up, alive: alone, isolated: true},
			{after: 2, up: up, alive: alone, wait: reconnectTimeout},
			{after: 3, up: up, alive: all, stale: true, wait: reconnectTimeout - 1},
			{after: 4, up: up, alive: all, want: true},
		}},
		{"the API does not come back", "192.168.10.11", []step{
			{after: 0, up: up, alive: all, want: true},
			{after: 1, up: up, alive: alone, isolated: true},
			{after: 2, up: up, alive: all, stale: true, wait: reconnectTimeout},
			{after: 2 + reconnectTimeout, up: up, alive: all, stale: true, want: true},
		}},
		{"the node's address is on no interface", "172.16.0.1", []step{
			{0, up, all, true, 0, false, false},
			{1, nil, alone, true, 0, false, false},
			{2, up, alone, true, 0, false, false},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := Gate{Address: netip.MustParseAddr(tt.address)}
			for _, s := range tt.steps {
				if ok, wait := g.Allows(s.up, s.alive, s.isolated, func() bool { return !s.stale }, start.Add(s.after)); ok != s.want || wait != s.wait {
					t.Errorf("after %s: got %t, wait %s; want %t, wait %s", s.after, ok, wait, s.want, s.wait)
				}
			}
		})
	}
}
