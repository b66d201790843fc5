package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// pool is what a plan needs of an IPAddressPool. Whether its addresses may be handed out is not asked here: an address that a
// Service has is announced.
type pool struct {
	name    string
	created int64
	labels  labels.Set
	ranges  []loadbalancer.Range
}

// newPool leaves entries out that cannot be read: the pool's condition says what is wrong with them.
func newPool(p *v1alpha1.IPAddressPool) *pool {
	out := &pool{name: p.Name, created: p.CreationTimestamp.Unix(), labels: p.Labels}
	for _, entry := range p.Spec.Addresses {
		if r, err := loadbalancer.ParseRange(entry); err == nil {
			out.ranges = append(out.ranges, r)
		}
	}
	return out
}

func (p *pool) equal(o *pool) bool {
	return p.created == o.created && slices.Equal(p.ranges, o.ranges) && labels.Equals(p.labels, o.labels)
}

func (p *pool) contains(ip netip.Addr) bool {
	return slices.ContainsFunc(p.ranges, func(r loadbalancer.Range) bool {
		return r.From.Compare(ip) <= 0 && ip.Compare(r.To) <= 0
	})
}

// covers says whether all of a prefix belongs to the pool.
func (p *pool) covers(prefix netip.Prefix) bool {
	at, last := prefix.Addr(), lastOf(prefix)
	for {
		i := slices.IndexFunc(p.ranges, func(r loadbalancer.Range) bool {
			return r.From.Compare(at) <= 0 && at.Compare(r.To) <= 0
		})
		if i < 0 {
			return false
		}
		if at = p.ranges[i].To; last.Compare(at) <= 0 {
			return true
		}
		at = at.Next()
	}
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

// poolOf is the pool that an address comes from: of several that contain it the oldest, as for the allocator. Pools must be
// sorted by age.
func poolOf(pools []*pool, ip netip.Addr) *pool {
	for _, p := range pools {
		if p.contains(ip) {
			return p
		}
	}
	return nil
}

func byAge(a, b *pool) int {
	return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
}
