package layer2

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// The frame leaves from the proxy's own hardware address: a switch that learnt the owner's from it
// would send it what is meant for the owner.
func TestOnTheWireAProxyAnswersForTheOwnerFromItsOwnMAC(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	links := follow(t)
	r := NewResponder(links)
	run(t, r.Run)
	await(t, links, name, "a link-local address", func(i Interface, _ bool) bool { return i.LinkLocal.IsValid() })
	i, _ := find(links, name)
	own := link(t, name).Attrs().HardwareAddr
	r.Set(map[netip.Addr][]string{vip2: {name}, vip62: {name}})
	r.SetProxied(map[netip.Addr]Proxied{vip1: {[]string{name}, ownerMAC}, vip61: {[]string{name}, ownerMAC}})

	s := h.station("lan")
	client := netip.MustParseAddr("192.0.2.1")
	for _, sender := range []netip.Addr{client, netip.IPv4Unspecified()} {
		answer := frame(own, s.mac, untagged, newPacket(arp.OperationReply, ownerMAC, vip1, s.mac, sender))
		s.until(answer, frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, sender, noMAC, vip1)))
	}

	s = h.stationFor("lan", unix.ETH_P_IPV6)
	answer := frameFor(unix.ETH_P_IPV6, own, s.mac, untagged, ndpPacket(i.LinkLocal, client6, solicited6(vip61, ownerMAC)))
	s.until(answer, frameFor(unix.ETH_P_IPV6, s.mac, multicastMAC(groupOf(vip61)), untagged,
		solicitation(client6, groupOf(vip61), vip61, sourceMAC(s.mac))))
	defence := frameFor(unix.ETH_P_IPV6, own, allNodesMAC, untagged, ndpPacket(i.LinkLocal, allNodes, advertised6(vip61, ownerMAC)))
	s.until(defence, frameFor(unix.ETH_P_IPV6, s.mac, multicastMAC(groupOf(vip61)), untagged,
		solicitation(unspecified, groupOf(vip61), vip61)))
}

func TestKernelOfAClientFindsTheOwnerByItsProxy(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h, names := switched(t, 1)
			r := respond(t)
			r.SetProxied(map[netip.Addr]Proxied{addresses.free: {names, ownerMAC}})
			h.finds(addresses.free, ownerMAC)
			// The owner is back, at another node that has taken over.
			r.SetProxied(nil)
			r.Set(map[netip.Addr][]string{addresses.free: names})
			h.neighbour(addresses.free, link(t, names[0]).Attrs().HardwareAddr)
		})
	}
}

func TestOnTheWireAConflictingClaimIsSeenAndAnsweredOnDemand(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h := newHost(t)
			name := cable(t, h, "lan")
			r := NewResponder(follow(t))
			r.Repeats, r.Repeats6, r.Refresh = r.Repeats[:1], r.Repeats6[:1], 0
			run(t, r.Run)
			own := link(t, name).Attrs().HardwareAddr
			s := h.stationOf("lan", addresses.free)
			r.Set(map[netip.Addr][]string{addresses.free: {name}})
			s.hears(addresses.free, own)

			s.says(addresses.has, s.mac) // an address of its own
			s.probes(addresses.free, s.mac)
			s.says(addresses.free, otherMAC)
			<-r.Sighted()
			seen := r.Sightings()
			if len(seen) != 1 || seen[0].Address != addresses.free || seen[0].Interface != name || !bytes.Equal(seen[0].MAC, otherMAC) {
				t.Errorf("seen %+v", seen)
			}
			s.hears(addresses.free, own) // the probe is answered
			r.Reannounce(addresses.free)
			s.hears(addresses.free, own)
		})
	}
}
