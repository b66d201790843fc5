package loadbalancer

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// defaultReuseAfter is spec.reuseAfter of a pool that does not say.
const defaultReuseAfter = 30 * time.Second

// pool is an IPAddressPool: what its spec says, whether it can be used, and what is in it.
type pool struct {
	poolSpec

	// problem is why the pool cannot be used: its own problem or that another pool has some of its
	// addresses.
	problem poolProblem
	// established is set for a pool that is in use, here or, as its status says, under an Allocator
	// before this one.
	established bool
	// rank is the place of the pool in the order in which pools are tried.
	rank int

	// spaces hold the addresses of each family; nil if the pool has none of it or cannot be used.
	spaces [families]*space
	// restrictions are the parts of the pool that are not for everybody. The spaces are built
	// without them.
	restrictions []restriction
}

// poolSpec is the spec of an IPAddressPool, read.
type poolSpec struct {
	object *v1alpha1.IPAddressPool
	name   string

	autoAssign bool
	skipBuggy  bool
	reuseAfter time.Duration
	sharing    v1alpha1.SharingScope
	selection  selection
	priority   int32

	// entries are spec.addresses, sorted by address.
	entries []entry
	// exclude is spec.exclude, sorted and merged.
	exclude []Range
	// effective is entries without exclude, sorted. One entry may be in several pieces.
	effective []entry

	// ownRemarks are what there is to say of entries that can be used.
	ownRemarks []string
	// ownProblem is what is wrong with the spec, whatever the other pools are.
	ownProblem poolProblem
}

// poolProblem is why a pool cannot be used: the reason of its Ready condition and a sentence. The
// zero value is no problem.
type poolProblem struct {
	reason, message string
}

// entry is one of spec.addresses. Addresses are handed out in the order of the entries.
type entry struct {
	Range
	index int
}

// readPool never fails. A pool that cannot be used has a problem.
func readPool(object *v1alpha1.IPAddressPool) *pool {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	established := InUse(object) && ready.ObservedGeneration == object.Generation
	p := &pool{poolSpec: readPoolSpec(object), established: established}
	p.problem = p.ownProblem
	return p
}

func readPoolSpec(object *v1alpha1.IPAddressPool) poolSpec {
	spec := &object.Spec
	p := poolSpec{
		object:     object,
		name:       object.Name,
		autoAssign: spec.AutoAssign == nil || *spec.AutoAssign,
		skipBuggy:  spec.AvoidBuggyIPs,
		reuseAfter: defaultReuseAfter,
		sharing:    cmp.Or(spec.Sharing, v1alpha1.SharingCluster),
	}
	if spec.ReuseAfter != nil {
		p.reuseAfter = spec.ReuseAfter.Duration
	}
	p.ownProblem = p.readAddresses()
	if p.ownProblem == (poolProblem{}) && spec.ServiceAllocation != nil {
		p.priority = spec.ServiceAllocation.Priority
		var err error
		if p.selection, err = readSelection(spec.ServiceAllocation); err != nil {
			p.ownProblem = poolProblem{v1alpha1.ReasonInvalidSelector, err.Error()}
		}
	}
	return p
}

// readAddresses reads spec.addresses and spec.exclude.
func (p *poolSpec) readAddresses() poolProblem {
	for i, text := range p.object.Spec.Addresses {
		r, err := ParseRange(text)
		if err != nil {
			return poolProblem{v1alpha1.ReasonInvalidAddress, badEntry("spec.addresses", err)}
		}
		p.entries = append(p.entries, entry{r, i})
		if remark := RemarkOn(text); remark != "" {
			p.ownRemarks = append(p.ownRemarks, remark)
		}
	}
	for _, text := range p.object.Spec.Exclude {
		r, err := ParseRange(text)
		if err != nil {
			return poolProblem{v1alpha1.ReasonInvalidAddress, badEntry("spec.exclude", err)}
		}
		p.exclude = append(p.exclude, r)
		if remark := RemarkOn(text); remark != "" {
			p.ownRemarks = append(p.ownRemarks, remarkIn("spec.exclude", remark))
		}
	}
	p.exclude = merge(p.exclude)
	slices.SortStableFunc(p.entries, func(a, b entry) int { return a.compare(b.Range) })
	for i, e := range p.entries {
		if i > 0 && p.entries[i-1].overlaps(e.Range) {
			first, second := min(p.entries[i-1].index, e.index), max(p.entries[i-1].index, e.index)
			message := entriesOverlap(p.object.Spec.Addresses[first], p.object.Spec.Addresses[second])
			return poolProblem{v1alpha1.ReasonOverlaps, message}
		}
		for _, piece := range subtract(e.Range, p.exclude) {
			p.effective = append(p.effective, entry{piece, e.index})
		}
	}
	return poolProblem{}
}

func (p *pool) usable() bool { return p.problem == poolProblem{} }

// sameObject reports whether an object would be read as the same pool.
func (p *pool) sameObject(object *v1alpha1.IPAddressPool) bool {
	return p.object == object || p.object.UID == object.UID &&
		p.object.CreationTimestamp.Equal(&object.CreationTimestamp) &&
		reflect.DeepEqual(p.object.Spec, object.Spec)
}

// compareAge puts the older pool first. The time of creation has whole seconds. Of two pools of one
// second, the one that is in use counts as the older.
func (p *pool) compareAge(q *pool) int {
	use := func(p *pool) int {
		if p.established {
			return 0
		}
		return 1
	}
	return cmp.Or(
		p.object.CreationTimestamp.Compare(q.object.CreationTimestamp.Time),
		cmp.Compare(use(p), use(q)),
		cmp.Compare(p.name, q.name),
	)
}

// compareOrder puts the pool first that is tried first: pools for some Services before pools for
// all, then by priority, then by name.
func (p *pool) compareOrder(q *pool) int {
	general := func(p *pool) int {
		if p.selection.present {
			return 0
		}
		return 1
	}
	// A pool without a priority is tried last.
	priority := func(p *pool) int64 {
		if p.priority <= 0 {
			return math.MaxInt64
		}
		return int64(p.priority)
	}
	return cmp.Or(
		cmp.Compare(general(p), general(q)),
		cmp.Compare(priority(p), priority(q)),
		cmp.Compare(p.name, q.name),
	)
}

// excludes reports whether the pool names the address only to leave it out.
func (p *pool) excludes(addr netip.Addr) bool {
	covered := slices.ContainsFunc(p.entries, func(e entry) bool { return e.Contains(addr) })
	return covered && (p.skipBuggy && buggy(addr) || slices.ContainsFunc(p.exclude, func(r Range) bool { return r.Contains(addr) }))
}

// entryOf is the index of the entry that has the address, which must be one of the pool's.
func (p *pool) entryOf(addr netip.Addr) int {
	return p.entries[firstReaching(p.entries, addr)].index
}

// keepsApart reports whether Services of two namespaces may not share an address.
func (p *pool) keepsApart(namespace, other string) bool {
	return p != nil && p.sharing == v1alpha1.SharingNamespace && namespace != other
}

// buildSpaces makes the spaces, with nothing allocated in them.
func (p *pool) buildSpaces() {
	p.spaces = [families]*space{}
	for _, e := range p.entries {
		if p.spaces[e.family()] == nil {
			p.spaces[e.family()] = newSpace(p)
		}
	}
	for _, e := range p.effective {
		for _, piece := range subtract(e.Range, p.restrictions) {
			p.spaces[e.family()].addRun(e.index, piece)
		}
	}
	for _, c := range p.restrictions {
		if c.audience == forOne {
			s := p.spaces[c.family()]
			s.forOneSize = s.forOneSize.plus(s.usableSize(c.Range))
		}
	}
}

func sortedNames(pools map[string]*pool) []string {
	return slices.Sorted(maps.Keys(pools))
}
