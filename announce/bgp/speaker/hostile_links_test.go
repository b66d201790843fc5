package speaker

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// A router that has lost its power or its way back leaves a connection of which only the node's end
// is left.
func TestAConnectionOfWhichOnlyOneEndIsLeftIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	cut := "table inet cut { chain in { type filter hook input priority 0; tcp dport 179 drop; }; " +
		"chain out { type filter hook output priority 0; tcp sport 179 drop; }; }"
	beside(t, map[bgp.SessionKey]bgp.Peer{key("cut"): r.peer()}, func(s *Speaker) {
		established(t, s, "cut")
		r.In(func() error { return nft(cut) })
		r.stopBGP()
		eventually(t, "the router given up", func() (bool, any) {
			p := status(s, "cut")
			return p.State != bgp.Established && p.Flaps == 1, p
		})
		refused(t, s, "cut", "no connection: dial tcp")
		r.In(func() error { return nft("delete table inet cut") })
		r.stopBGP = r.daemon("bgpd")
		established(t, s, "cut")
	})
}

func TestALinkThatFlapsIsNoTroubleToOthers(t *testing.T) {
	t.Parallel()
	r := newRouter(t, "neighbor NODE remote-as 65000", "address-family ipv4 unicast", "neighbor NODE activate", "exit-address-family")
	link, err := r.NL.LinkByName("lan")
	must(t, err)
	beside(t, map[bgp.SessionKey]bgp.Peer{key("flapping"): r.peer()}, func(s *Speaker) {
		for range 2 {
			established(t, s, "flapping")
			before := status(s, "flapping").Flaps
			for status(s, "flapping").Flaps == before {
				must(t, r.NL.LinkSetDown(link))
				awaitCarrier(t, r, false)
				must(t, r.NL.LinkSetUp(link))
				awaitCarrier(t, r, true)
			}
		}
		r.has(map[string]string{"198.51.100.1/32": "NODE"})
	})
}

// awaitCarrier waits until the node's end of the cable to a router has a carrier or none.
func awaitCarrier(t *testing.T, r *router, up bool) {
	t.Helper()
	eventually(t, "another carrier", func() (bool, any) {
		state := interfaceOf(t, r.node4).Attrs().OperState
		return (state == netlink.OperUp) == up, state
	})
}
