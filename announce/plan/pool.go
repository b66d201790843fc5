package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// pool is what a plan needs of an IPAddressPool. Whether its addresses may be handed out is not
// asked here: an address that a Service has is announced.
type pool struct {
	name    string
	created int64
	labels  labels.Set
	ranges  []loadbalancer.Range
	// exclude are the addresses that are not handed out.
	exclude []loadbalancer.Range
	// inUse says that the allocator has recorded that it uses the pool.
	inUse bool
}

// newPool leaves entries out that cannot be read: the pool's condition says what is wrong with them.
func newPool(p *v1alpha1.IPAddressPool) *pool {
	return &pool{
		name:    p.Name,
		created: p.CreationTimestamp.Unix(),
		labels:  p.Labels,
		ranges:  readRanges(p.Spec.Addresses),
		exclude: readRanges(p.Spec.Exclude),
		inUse:   loadbalancer.InUse(p),
	}
}

func readRanges(entries []string) (ranges []loadbalancer.Range) {
	for _, entry := range entries {
		if r, err := loadbalancer.ParseRange(entry); err == nil {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

func (p *pool) equal(o *pool) bool {
	return p.created == o.created && p.inUse == o.inUse && slices.Equal(p.ranges, o.ranges) &&
		slices.Equal(p.exclude, o.exclude) && labels.Equals(p.labels, o.labels)
}

// covers says whether all of a prefix belongs to the pool.
func (p *pool) covers(prefix netip.Prefix) bool {
	at, last := prefix.Addr(), lastOf(prefix)
	for {
		i := slices.IndexFunc(p.ranges, func(r loadbalancer.Range) bool { return r.Contains(at) })
		if i < 0 {
			return false
		}
		if at = p.ranges[i].To; last.Compare(at) <= 0 {
			return true
		}
		at = at.Next()
	}
}

// overlaps says whether addresses of the pool are in a prefix.
func (p *pool) overlaps(prefix netip.Prefix) bool {
	first, last := prefix.Addr(), lastOf(prefix)
	return slices.ContainsFunc(p.ranges, func(r loadbalancer.Range) bool {
		return r.From.Is4() == first.Is4() && !r.To.Less(first) && !last.Less(r.From)
	})
}

// lastOf is the last address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// poolOf is the pool that an address belongs to; nil if no pool contains it. Pools must be sorted
// by precedence. One that excludes the address has it only if no other pool contains it.
func poolOf(pools []*pool, ip netip.Addr) *pool {
	var excluding *pool
	for _, p := range pools {
		switch {
		case !anyContains(p.ranges, ip):
		case !anyContains(p.exclude, ip):
			return p
		case excluding == nil:
			excluding = p
		}
	}
	return excluding
}

func anyContains(ranges []loadbalancer.Range, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r loadbalancer.Range) bool { return r.Contains(ip) })
}

// byPrecedence puts first, of two pools that contain an address, the one that it belongs to. The
// allocator decides which: of pools that overlap it uses one alone, and says so in their statuses.
// Until it has, the oldest counts, as it will for the allocator.
func byPrecedence(a, b *pool) int {
	inUse := func(p *pool) int {
		if p.inUse {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(inUse(a), inUse(b)), cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
}
