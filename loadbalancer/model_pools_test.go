package loadbalancer

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// poolRules are the naive reader's notes about pools.
type poolRules struct {
	// versions are the pools as they were when they were last read.
	versions map[string]*v1alpha1.IPAddressPool
	// inForce has the last good version of each.
	inForce map[string]version
	// usable are the pools of which a version is in force, with that spec, in the order in which they
	// are tried.
	usable []*v1alpha1.IPAddressPool
	// first is the pool that had each address first.
	first map[netip.Addr]string
	// had are the addresses that a pool had under the version before.
	had map[string]map[netip.Addr]bool
	// lost are the addresses that Services have and that an edit has taken out of their pool.
	lost map[netip.Addr]bool
}

type version struct {
	uid  types.UID
	spec v1alpha1.IPAddressPoolSpec
}

func newPoolRules() poolRules {
	return poolRules{
		versions: map[string]*v1alpha1.IPAddressPool{}, inForce: map[string]version{}, first: map[netip.Addr]string{},
		had: map[string]map[netip.Addr]bool{}, lost: map[netip.Addr]bool{},
	}
}

// restarted forgets what is recorded nowhere.
func (r *poolRules) restarted() {
	r.lost = map[netip.Addr]bool{}
	for _, p := range r.usable {
		r.had[p.Name] = r.addressesOf(p.Name)
	}
}

// read takes the pools as they are now.
func (r *poolRules) read(pools map[string]*v1alpha1.IPAddressPool) {
	for name, p := range pools {
		before := r.versions[name]
		switch {
		case before == nil || before.UID != p.UID:
			r.had[name] = nil
		case !reflect.DeepEqual(before.Spec, p.Spec) || !before.DeletionTimestamp.Equal(p.DeletionTimestamp):
			r.had[name] = r.addressesOf(name)
		}
		if !mistaken(&p.Spec) {
			r.inForce[name] = version{p.UID, p.Spec}
		} else if r.inForce[name].uid != p.UID {
			delete(r.inForce, name)
		}
	}
	gone := func(name string) bool { return pools[name] == nil }
	maps.DeleteFunc(r.inForce, func(name string, _ version) bool { return gone(name) })
	maps.DeleteFunc(r.had, func(name string, _ map[netip.Addr]bool) bool { return gone(name) })

	r.usable = nil
	for name, v := range r.inForce {
		p := pools[name].DeepCopy()
		p.Spec = v.spec
		r.usable = append(r.usable, p)
	}
	r.divide(pools)
	r.versions = maps.Clone(pools)
	slices.SortFunc(r.usable, func(a, b *v1alpha1.IPAddressPool) int {
		as, ap := rank(a)
		bs, bp := rank(b)
		return cmp.Or(cmp.Compare(as, bs), cmp.Compare(ap, bp), cmp.Compare(a.Name, b.Name))
	})
}

// divide finds which pool had each address first. One that is being deleted comes after all others.
func (r *poolRules) divide(pools map[string]*v1alpha1.IPAddressPool) {
	slices.SortFunc(r.usable, func(a, b *v1alpha1.IPAddressPool) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	first := map[netip.Addr]string{}
	for _, addr := range universe {
		for _, deleting := range []bool{false, true} {
			candidates := slices.DeleteFunc(slices.Clone(r.usable), func(p *v1alpha1.IPAddressPool) bool {
				return p.DeletionTimestamp != nil != deleting || !inRanges(p, addr)
			})
			i := slices.IndexFunc(candidates, func(p *v1alpha1.IPAddressPool) bool {
				before := r.versions[p.Name]
				return p.Name == r.first[addr] && before != nil && before.UID == p.UID
			})
			if len(candidates) > 0 {
				first[addr] = candidates[max(i, 0)].Name
				break
			}
		}
	}
	r.first = first
}

func (r *poolRules) addressesOf(name string) map[netip.Addr]bool {
	addresses := map[netip.Addr]bool{}
	for _, addr := range universe {
		if p := r.poolOf(addr); p != nil && p.Name == name {
			addresses[addr] = true
		}
	}
	return addresses
}

// poolOf is the pool, with the spec that is in force, that an address belongs to.
func (r *poolRules) poolOf(addr netip.Addr) *v1alpha1.IPAddressPool {
	for _, p := range r.usable {
		if p.Name == r.first[addr] && !(p.Spec.AvoidBuggyIPs && addr == netip.MustParseAddr("10.0.0.0")) {
			return p
		}
	}
	return nil
}

// handsOut reports whether there is a pool that gives addresses to Services.
func (r *poolRules) handsOut(name string) bool {
	return slices.ContainsFunc(r.usable, func(p *v1alpha1.IPAddressPool) bool { return p.Name == name && p.DeletionTimestamp == nil })
}

// contested reports whether other pools had some of a pool's addresses first.
func (r *poolRules) contested(name string) bool {
	return slices.ContainsFunc(r.usable, func(p *v1alpha1.IPAddressPool) bool {
		return p.Name == name && slices.ContainsFunc(universe, func(addr netip.Addr) bool { return inRanges(p, addr) && r.first[addr] != name })
	})
}

// takenOut reports whether an edit has taken an address out of its pool, which is in no other, as far
// as that is known of one that nobody has.
func (w *world) takenOut(addr netip.Addr) bool {
	if len(w.owners[addr]) > 0 {
		return w.lost[addr]
	}
	for name := range w.had {
		if w.had[name][addr] {
			return w.poolOf(addr) == nil
		}
	}
	return false
}

// poolsOf are the pools of addresses, by UID.
func (r *poolRules) poolsOf(owners map[netip.Addr][]string) map[netip.Addr]types.UID {
	pools := map[netip.Addr]types.UID{}
	for addr := range owners {
		if p := r.poolOf(addr); p != nil {
			pools[addr] = p.UID
		}
	}
	return pools
}

// noteLost notes which of the addresses that Services have were taken out of pools that are there
// still.
func (r *poolRules) noteLost(owners map[netip.Addr][]string, before map[netip.Addr]types.UID) {
	for addr := range owners {
		there := slices.ContainsFunc(r.usable, func(p *v1alpha1.IPAddressPool) bool { return p.UID == before[addr] })
		r.lost[addr] = r.poolOf(addr) == nil && (r.lost[addr] || there)
	}
}

// mistaken reports whether a spec cannot be used.
func mistaken(spec *v1alpha1.IPAddressPoolSpec) bool {
	if slices.Contains(spec.Addresses, "10.0.0.300") {
		return true
	}
	return slices.ContainsFunc(universe, func(addr netip.Addr) bool {
		n := 0
		for _, entry := range spec.Addresses {
			if covers(entry, addr) {
				n++
			}
		}
		return n > 1
	})
}

// rank orders pools.
func rank(p *v1alpha1.IPAddressPool) (selected int, priority int32) {
	selected, priority = 1, 1<<30
	if s := p.Spec.ServiceAllocation; s != nil {
		if s.Namespaces != nil || s.NamespaceSelectors != nil || s.ServiceSelectors != nil {
			selected = 0
		}
		if s.Priority > 0 {
			priority = s.Priority
		}
	}
	return selected, priority
}

func covers(entry string, addr netip.Addr) bool {
	if from, to, ok := strings.Cut(entry, "-"); ok {
		return addr.Compare(netip.MustParseAddr(from)) >= 0 && addr.Compare(netip.MustParseAddr(to)) <= 0
	}
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return prefix.Contains(addr)
	}
	return entry == addr.String()
}

// inRanges reports whether a pool has an address, whether it hands it out or not.
func inRanges(p *v1alpha1.IPAddressPool, addr netip.Addr) bool {
	covered := func(x string) bool { return covers(x, addr) }
	return slices.ContainsFunc(p.Spec.Addresses, covered) && !slices.ContainsFunc(p.Spec.Exclude, covered)
}
