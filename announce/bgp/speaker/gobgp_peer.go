package speaker

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// apiPeer is a Peer behind the relay at an address, in GoBGP's words. What the connection to the
// peer needs, such as a password, is not GoBGP's matter.
func apiPeer(p bgp.Peer, relay netip.AddrPort) *api.Peer {
	peer := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: relay.Addr().String(),
			LocalAsn:        p.LocalASN,
			PeerAsn:         p.PeerASN,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:          uint64(p.EffectiveHoldTime() / time.Second),
			KeepaliveInterval: uint64(p.EffectiveKeepaliveTime() / time.Second),
		}},
		Transport: &api.Transport{RemotePort: uint32(relay.Port())},
	}
	if p.RestartTime != 0 {
		// Not with notifications (RFC 8538): a peer whose hold time expires, because the node is
		// dead, would keep the routes then. And GoBGP's Hard Reset lacks the part that says what it
		// stands for, which FRR 8.4 reads anyway.
		//
		// GoBGP is never told of a restart: it would say so in every OPEN, and hold routes back.
		peer.GracefulRestart = &api.GracefulRestart{Enabled: true, RestartTime: uint32(p.RestartTime / time.Second)}
	}
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		if p.OfferedFamilies()&f == 0 {
			continue
		}
		af := &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: apiFamily(f), Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.RestartTime != 0}},
		}
		if p.MaxPrefixes != 0 {
			af.PrefixLimits = &api.PrefixLimit{Family: apiFamily(f), MaxPrefixes: p.MaxPrefixes}
		}
		peer.AfiSafis = append(peer.AfiSafis, af)
	}
	return peer
}

func apiFamily(f bgp.Families) *api.Family {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if f == bgp.IPv6 {
		family.Afi = api.Family_AFI_IP6
	}
	return family
}

func bgpFamily(f bgp.Families) gobgp.Family {
	if f == bgp.IPv6 {
		return gobgp.RF_IPv6_UC
	}
	return gobgp.RF_IPv4_UC
}

func ownFamily(f gobgp.Family) bgp.Families {
	switch f {
	case gobgp.RF_IPv4_UC:
		return bgp.IPv4
	case gobgp.RF_IPv6_UC:
		return bgp.IPv6
	}
	return 0
}
