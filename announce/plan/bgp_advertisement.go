package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// bgpAdvertisement is what a plan needs of a BGPAdvertisement.
type bgpAdvertisement struct {
	selection
	created int64
	// peers are the names of BGPPeers; none for all.
	peers []string
	// bits4 and bits6 are the lengths of the prefixes that are announced, by family.
	bits4, bits6   int
	localPref, med *uint32
	prepend        *uint8
	communities    []community
	// perEndpoint has peers told how many endpoints serve an address here.
	perEndpoint bool
}

// bandwidthOfEndpoint is what an endpoint counts as in the link bandwidth community, in bytes per
// second: 1 Mbit/s. Only the ratios between nodes matter, but some routers count in kilobytes, and
// some have no more than 32 bits for bytes.
const bandwidthOfEndpoint = 125_000

// newBGPAdvertisement reads a BGPAdvertisement whose names of communities are among the aliases.
// Nothing can be used of one with a community that is not known: routes would go where that one is to
// keep them from.
func (a aliases) newBGPAdvertisement(o *v1alpha1.BGPAdvertisement) (*bgpAdvertisement, error) {
	s := &o.Spec
	communities, err := a.resolveAll(s.Communities)
	if err != nil {
		return nil, err
	}
	selection, err := newSelection(o.Name, s.IPAddressPools, s.IPAddressPoolSelectors, s.ServiceSelectors, s.NodeSelectors)
	if err != nil {
		return nil, err
	}
	return &bgpAdvertisement{
		selection:   selection,
		created:     o.CreationTimestamp.Unix(),
		peers:       s.Peers,
		bits4:       int(valueOr(s.AggregationLength, 32)),
		bits6:       int(valueOr(s.AggregationLengthV6, 128)),
		localPref:   narrow[uint32](s.LocalPref),
		med:         narrow[uint32](s.MED),
		prepend:     narrow[uint8](s.PrependAS),
		communities: communities,
		perEndpoint: s.LinkBandwidth == v1alpha1.LinkBandwidthPerEndpoint,
	}, nil
}

// SelectsPool says whether a BGPAdvertisement selects a pool. One whose selectors cannot be read
// selects none.
func SelectsPool(a *v1alpha1.BGPAdvertisement, p *v1alpha1.IPAddressPool) bool {
	selection, err := newSelection(a.Name, a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors, nil, nil)
	return err == nil && selection.selectsPool(newPool(p, nil))
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// narrow converts a number whose range the schema limits; nil stays nil.
func narrow[To uint8 | uint32, From int32 | int64](p *From) *To {
	if p == nil {
		return nil
	}
	n := To(*p)
	return &n
}

func olderBGPAdvertisement(a, b *bgpAdvertisement) int {
	return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
}

func (a *bgpAdvertisement) selectsPeer(name string) bool {
	return len(a.peers) == 0 || slices.Contains(a.peers, name)
}

// prefix that is announced for an address.
func (a *bgpAdvertisement) prefix(ip netip.Addr) netip.Prefix {
	bits := a.bits4
	if ip.Is6() {
		bits = a.bits6
	}
	prefix, _ := ip.Prefix(bits) // the schema has limited the length
	return prefix
}
