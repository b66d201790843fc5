package bgp

import (
	"math"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// paths are the routes as GoBGP wants them. Routes with the same attributes share them.
func (c *connection) paths(routes []Route, hops hops) []*apiutil.Path {
	type key struct {
		attributes *Attributes
		family     Families
	}
	shared := map[key][]bgp.PathAttributeInterface{}
	paths := make([]*apiutil.Path, len(routes))
	for i, r := range routes {
		f := family(r.Prefix)
		attrs, ok := shared[key{r.Attributes, f}]
		if !ok {
			attrs = c.attributes(r.Attributes)
			shared[key{r.Attributes, f}] = attrs
		}
		nlri, _ := bgp.NewIPAddrPrefix(r.Prefix)
		path := &apiutil.Path{Family: bgpFamily(f), Nlri: nlri, Age: time.Now().Unix()}
		path.Attrs = append(attrs[:len(attrs):len(attrs)], nextHop(path, hops.of(f)))
		paths[i] = path
	}
	return paths
}

// nextHop is the attribute that says it. GoBGP takes an unspecified one for the address of the session.
func nextHop(path *apiutil.Path, hop netip.Addr) bgp.PathAttributeInterface {
	if path.Family == bgp.RF_IPv4_UC && hop.Is4() {
		attr, _ := bgp.NewPathAttributeNextHop(hop)
		return attr
	}
	attr, _ := bgp.NewPathAttributeMpReachNLRI(path.Family, []bgp.PathNLRI{{NLRI: path.Nlri}}, hop)
	return attr
}

func (c *connection) attributes(a *Attributes) []bgp.PathAttributeInterface {
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)}
	if a == nil {
		return attrs
	}
	if a.Prepend > 0 && !c.peer.internal() {
		path := make([]uint32, a.Prepend)
		for i := range path {
			path[i] = c.peer.LocalASN
		}
		attrs = append(attrs, bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, path)}))
	}
	switch {
	case a.Leaving:
		attrs = append(attrs, bgp.NewPathAttributeLocalPref(0))
	case a.LocalPref != nil:
		attrs = append(attrs, bgp.NewPathAttributeLocalPref(*a.LocalPref))
	}
	if a.MED != nil {
		attrs = append(attrs, bgp.NewPathAttributeMultiExitDisc(*a.MED))
	}
	communities := a.Communities
	if a.Leaving {
		communities = append(communities[:len(communities):len(communities)], gracefulShutdown)
	}
	if len(communities) > 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(communities))
	}
	if len(a.LargeCommunities) > 0 {
		var large []*bgp.LargeCommunity
		for _, l := range a.LargeCommunities {
			large = append(large, bgp.NewLargeCommunity(l.Global, l.Local1, l.Local2))
		}
		attrs = append(attrs, bgp.NewPathAttributeLargeCommunities(large))
	}
	if a.LinkBandwidth > 0 {
		asn := uint16(bgp.AS_TRANS)
		if c.peer.LocalASN < 1<<16 {
			asn = uint16(c.peer.LocalASN)
		}
		// There is a transitive form and one that is not. Some routers know only the one, some only the other, and whoever
		// knows both takes the lower of two bandwidths.
		attrs = append(attrs, bgp.NewPathAttributeExtendedCommunities([]bgp.ExtendedCommunityInterface{
			bgp.NewTwoOctetAsSpecificExtended(bgp.EC_SUBTYPE_LINK_BANDWIDTH, asn, math.Float32bits(a.LinkBandwidth), true),
			bgp.NewLinkBandwidthExtended(asn, a.LinkBandwidth),
		}))
	}
	return attrs
}
