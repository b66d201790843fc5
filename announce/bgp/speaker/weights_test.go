package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// weights are those of the next hops of a prefix in the router's kernel.
func (h *host) weights(prefix string) map[string]int {
	h.t.Helper()
	weights := map[string]int{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := h.NL.RouteList(nil, family)
		must(h.t, err)
		for _, r := range routes {
			if !learned(r) || prefixOf(r) != netip.MustParsePrefix(prefix) {
				continue
			}
			for _, hop := range r.MultiPath {
				weights[hop.Gw.String()] = hop.Hops + 1
			}
		}
	}
	return weights
}

func TestTheRouterSpreadsTrafficByLinkBandwidth(t *testing.T) {
	t.Parallel()
	r := newSite(t)
	second := r.node4.Next()
	give(t, interfaceOf(t, r.node4).Attrs().Name, second.String()+"/24")
	lines := []string{"router bgp 65001", "no bgp ebgp-requires-policy", "bgp bestpath as-path multipath-relax", "timers bgp 3 9"}
	for _, node := range []netip.Addr{r.node4, second} {
		lines = append(lines, fmt.Sprintf("neighbor %s remote-as external", node), fmt.Sprintf("neighbor %s passive", node))
	}
	r.begin(lines...)

	s := newSpeaker(t, false)
	run(t, s)
	peers := map[bgp.SessionKey]bgp.Peer{}
	for i, node := range []netip.Addr{r.node4, second} {
		p := r.peer()
		p.Source, p.RouterID = node, node
		p.LocalASN += uint32(i) * 70000 // autonomous systems of 16 and of 32 bits
		peers[key(node.String())] = p
	}
	expect := func(bandwidth, bandwidth2 float32, weight, weight2 int) {
		t.Helper()
		s.Set(peers, map[bgp.SessionKey][]bgp.Route{
			key(r.node4.String()): routes(&bgp.Attributes{LinkBandwidth: bandwidth}, "198.51.100.1/32"),
			key(second.String()):  routes(&bgp.Attributes{LinkBandwidth: bandwidth2}, "198.51.100.1/32"),
		})
		want := map[string]int{r.node4.String(): weight, second.String(): weight2}
		eventually(t, fmt.Sprintf("the weights %v", want), func() (bool, any) {
			weights := r.weights("198.51.100.1/32")
			return maps.Equal(weights, want), weights
		})
	}
	const unit = 125_000
	expect(unit, 3*unit, 25, 75)
	expect(unit, unit, 50, 50)
	expect(unit, 99*unit, 1, 99)
	// A router that does not hear of one takes them all for equal.
	expect(0, 3*unit, 1, 1)
}
