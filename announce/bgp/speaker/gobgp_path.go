package speaker

import (
	"math"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// gracefulShutdown is the community of RFC 8326.
const gracefulShutdown = 0xFFFF0000

// paths are the routes as GoBGP wants them. Routes with the same attributes share them.
func (c *gobgpConnection) paths(routes []bgp.Route, hops nextHops) []*apiutil.Path {
	type key struct {
		attributes *bgp.Attributes
		family     bgp.Families
	}
	shared := map[key][]gobgp.PathAttributeInterface{}
	paths := make([]*apiutil.Path, len(routes))
	for i, r := range routes {
		f := bgp.FamilyOf(r.Prefix)
		attrs, ok := shared[key{r.Attributes, f}]
		if !ok {
			attrs = c.attributes(r.Attributes)
			shared[key{r.Attributes, f}] = attrs
		}
		nlri, _ := gobgp.NewIPAddrPrefix(r.Prefix)
		path := &apiutil.Path{Family: bgpFamily(f), Nlri: nlri, Age: time.Now().Unix()}
		path.Attrs = append(attrs[:len(attrs):len(attrs)], nextHop(path, hops.of(f)))
		paths[i] = path
	}
	return paths
}

// nextHop is the attribute that says it.
func nextHop(path *apiutil.Path, hop netip.Addr) gobgp.PathAttributeInterface {
	if path.Family == gobgp.RF_IPv4_UC && hop.Is4() {
		attr, _ := gobgp.NewPathAttributeNextHop(hop)
		return attr
	}
	attr, _ := gobgp.NewPathAttributeMpReachNLRI(path.Family, []gobgp.PathNLRI{{NLRI: path.Nlri}}, hop)
	return attr
}

func (c *gobgpConnection) attributes(a *bgp.Attributes) []gobgp.PathAttributeInterface {
	attrs := []gobgp.PathAttributeInterface{gobgp.NewPathAttributeOrigin(gobgp.BGP_ORIGIN_ATTR_TYPE_IGP)}
	if a == nil {
		return attrs
	}
	if a.Prepend > 0 && !c.peer.Internal() {
		path := make([]uint32, a.Prepend)
		for i := range path {
			path[i] = c.peer.LocalASN
		}
		attrs = append(attrs, gobgp.NewPathAttributeAsPath([]gobgp.AsPathParamInterface{gobgp.NewAs4PathParam(gobgp.BGP_ASPATH_ATTR_TYPE_SEQ, path)}))
	}
	switch {
	case a.Leaving:
		attrs = append(attrs, gobgp.NewPathAttributeLocalPref(0))
	case a.LocalPref != nil:
		attrs = append(attrs, gobgp.NewPathAttributeLocalPref(*a.LocalPref))
	}
	if a.MED != nil {
		attrs = append(attrs, gobgp.NewPathAttributeMultiExitDisc(*a.MED))
	}
	communities := a.Communities
	if a.Leaving {
		communities = append(communities[:len(communities):len(communities)], gracefulShutdown)
	}
	if len(communities) > 0 {
		attrs = append(attrs, gobgp.NewPathAttributeCommunities(communities))
	}
	if len(a.LargeCommunities) > 0 {
		var large []*gobgp.LargeCommunity
		for _, l := range a.LargeCommunities {
			large = append(large, gobgp.NewLargeCommunity(l.Global, l.Local1, l.Local2))
		}
		attrs = append(attrs, gobgp.NewPathAttributeLargeCommunities(large))
	}
	if a.LinkBandwidth > 0 {
		asn := uint16(gobgp.AS_TRANS)
		if c.peer.LocalASN < 1<<16 {
			asn = uint16(c.peer.LocalASN)
		}
		// There is a transitive form and one that is not. Some routers know only the one, some only
		// the other, and whoever knows both takes the lower of two bandwidths.
		attrs = append(attrs, gobgp.NewPathAttributeExtendedCommunities([]gobgp.ExtendedCommunityInterface{
			gobgp.NewTwoOctetAsSpecificExtended(gobgp.EC_SUBTYPE_LINK_BANDWIDTH, asn, math.Float32bits(a.LinkBandwidth), true),
			gobgp.NewLinkBandwidthExtended(asn, a.LinkBandwidth),
		}))
	}
	return attrs
}
