package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/lastgood"
	"github.com/clarionlb/clarion/loadbalancer"
)

// pool is what a plan needs of an IPAddressPool. Whether its addresses may be handed out is not
// asked here: an address that a Service has is announced.
type pool struct {
	name    string
	uid     types.UID
	created int64
	// deleting says that the pool is gone when no Service has an address of it any more.
	deleting bool
	labels   labels.Set
	// inForce is the version of the spec that counts; nil if none is known that can be read.
	inForce *v1alpha1.IPAddressPoolSpec
	ranges  []loadbalancer.Range
	// exclude are the addresses that are not handed out.
	exclude []loadbalancer.Range
	// contested are the addresses that belong to another pool, as the allocator has recorded.
	contested []loadbalancer.Range
}

// newPool goes by the last good version of the spec if the one that is written cannot be used. Of a
// pool that was never good it leaves out the entries that cannot be read. before is the pool of that
// name until now; nil if there was none.
func newPool(p *v1alpha1.IPAddressPool, before *pool) *pool {
	versions := lastgood.Object[v1alpha1.IPAddressPoolSpec]{
		Spec:    &p.Spec,
		Applied: p.Status.AppliedSpec,
		Judged:  lastgood.Judged(p.Status.Conditions, p.Generation),
	}
	if before != nil && before.uid == p.UID {
		versions.Remembered = before.inForce
	}
	chosen := lastgood.Choose(versions, func(spec *v1alpha1.IPAddressPoolSpec) (*v1alpha1.IPAddressPoolSpec, error) {
		return spec, loadbalancer.CheckPoolSpec(spec)
	})
	if chosen.Value == nil { // reading it panicked
		chosen.Value = &v1alpha1.IPAddressPoolSpec{}
	}
	return &pool{
		name:      p.Name,
		uid:       p.UID,
		created:   p.CreationTimestamp.Unix(),
		deleting:  p.DeletionTimestamp != nil,
		labels:    p.Labels,
		inForce:   chosen.Spec,
		ranges:    readRanges(chosen.Value.Addresses),
		exclude:   readRanges(chosen.Value.Exclude),
		contested: loadbalancer.ContestedRanges(p),
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
	return p.created == o.created && p.deleting == o.deleting && (p.inForce == nil) == (o.inForce == nil) && slices.Equal(p.ranges, o.ranges) &&
		slices.Equal(p.exclude, o.exclude) && slices.Equal(p.contested, o.contested) && labels.Equals(p.labels, o.labels)
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
// by age. One that excludes the address, that leaves it to another pool, or that was never good, has
// it only if no other pool contains it.
func poolOf(pools []*pool, ip netip.Addr) *pool {
	var last *pool
	for _, p := range pools {
		switch {
		case !anyContains(p.ranges, ip):
		case p.inForce != nil && !anyContains(p.exclude, ip) && !anyContains(p.contested, ip):
			return p
		case last == nil:
			last = p
		}
	}
	return last
}

func anyContains(ranges []loadbalancer.Range, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r loadbalancer.Range) bool { return r.Contains(ip) })
}

// byAge puts the older pool first, and those that are being deleted last. It is what the allocator
// goes by for addresses that no pool had before.
func byAge(a, b *pool) int {
	deleting := func(p *pool) int {
		if p.deleting {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(deleting(a), deleting(b)), cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
}
