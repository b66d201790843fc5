package loadbalancer

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/lastgood"
)

// defaultReuseAfter is spec.reuseAfter of a pool that does not say.
const defaultReuseAfter = 30 * time.Second

// pool is an IPAddressPool: what its spec says, whether it can be used, and what is in it.
type pool struct {
	object *v1alpha1.IPAddressPool
	name   string

	// poolSpec is what is in force. It is empty if no version of the spec is known that can be read.
	poolSpec
	// inForce is the version of the spec that is in force; nil if there is none.
	inForce *v1alpha1.IPAddressPoolSpec
	// problem is what is wrong with the spec as it is written.
	problem poolProblem
	// rank is the place of the pool in the order in which pools are tried.
	rank int

	share
	// reuse is what an earlier Allocator has recorded of addresses that await their reuse, until it is
	// taken over.
	reuse []v1alpha1.AddressAwaitingReuse
	// spaces hold the addresses of each family; nil if the pool has none of it or cannot be used.
	spaces [families]*space
	// restrictions are the parts of the pool that are not for everybody. The spaces are built
	// without them.
	restrictions []restriction
}

// poolSpec is the spec of an IPAddressPool, read.
type poolSpec struct {
	autoAssign bool
	skipBuggy  bool
	reuseAfter time.Duration
	sharing    v1alpha1.SharingScope
	selection  selection
	priority   int32
	// maxPerNamespace is how many addresses of a family a namespace is given; 0 for any number.
	maxPerNamespace int

	// entries are spec.addresses, sorted by address.
	entries []entry
	// exclude is spec.exclude, sorted and merged.
	exclude []Range
	// effective is entries without exclude, sorted. One entry may be in several pieces.
	effective []entry

	// ownRemarks are what there is to say of entries that can be used.
	ownRemarks []string
}

// poolProblem is why the spec of a pool cannot be used: the reason of its Ready condition and a
// sentence. The zero value is no problem.
type poolProblem struct {
	reason, message string
}

func (p poolProblem) Error() string { return p.message }

// entry is one of spec.addresses. Addresses are handed out in the order of the entries.
type entry struct {
	Range
	index int
}

// readPool never fails. A pool that cannot be used as it is written has a problem. before is the
// pool of that name until now; nil if there was none.
func readPool(object *v1alpha1.IPAddressPool, before *pool) *pool {
	p := &pool{object: object, name: object.Name}
	if before != nil && before.object.UID != object.UID {
		before = nil
	}
	versions := lastgood.Object[v1alpha1.IPAddressPoolSpec]{
		Spec:    &object.Spec,
		Applied: object.Status.AppliedSpec,
		Judged:  lastgood.Judged(object.Status.Conditions, object.Generation),
	}
	if before != nil {
		versions.Remembered = before.inForce
	} else {
		p.reuse = object.Status.AwaitingReuse
	}
	choice := lastgood.Choose(versions, readPoolSpec)
	p.poolSpec, p.inForce = choice.Value, choice.Spec
	if choice.Wrong != nil && !errors.As(choice.Wrong, &p.problem) { // reading it panicked
		p.problem = poolProblem{v1alpha1.ReasonInternalError, choice.Wrong.Error()}
	}
	p.share = shareBefore(object, before)
	return p
}

// CheckPoolSpec says what is wrong with the spec of an IPAddressPool; nil if it can be used.
func CheckPoolSpec(spec *v1alpha1.IPAddressPoolSpec) error {
	_, err := readPoolSpec(spec)
	return err
}

// readPoolSpec returns a poolProblem for a spec that cannot be used.
func readPoolSpec(spec *v1alpha1.IPAddressPoolSpec) (poolSpec, error) {
	p := poolSpec{
		autoAssign: spec.AutoAssign == nil || *spec.AutoAssign,
		skipBuggy:  spec.AvoidBuggyIPs,
		reuseAfter: defaultReuseAfter,
		sharing:    cmp.Or(spec.Sharing, v1alpha1.SharingNamespace),
	}
	if spec.ReuseAfter != nil {
		p.reuseAfter = spec.ReuseAfter.Duration
	}
	if problem := p.readAddresses(spec); problem != (poolProblem{}) {
		return poolSpec{}, problem
	}
	if spec.ServiceAllocation != nil {
		p.priority = spec.ServiceAllocation.Priority
		p.maxPerNamespace = int(spec.ServiceAllocation.MaxAddressesPerNamespace)
		var err error
		if p.selection, err = readSelection(spec.ServiceAllocation); err != nil {
			return poolSpec{}, poolProblem{v1alpha1.ReasonInvalidSelector, err.Error()}
		}
	}
	return p, nil
}

// readAddresses reads spec.addresses and spec.exclude.
func (p *poolSpec) readAddresses(spec *v1alpha1.IPAddressPoolSpec) poolProblem {
	for i, text := range spec.Addresses {
		r, err := ParseRange(text)
		if err != nil {
			return poolProblem{v1alpha1.ReasonInvalidAddress, badEntry("spec.addresses", err)}
		}
		p.entries = append(p.entries, entry{r, i})
		if remark := RemarkOn(text); remark != "" {
			p.ownRemarks = append(p.ownRemarks, remark)
		}
	}
	for _, text := range spec.Exclude {
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
			return poolProblem{v1alpha1.ReasonOverlaps, entriesOverlap(spec.Addresses[first], spec.Addresses[second])}
		}
		for _, piece := range subtract(e.Range, p.exclude) {
			p.effective = append(p.effective, entry{piece, e.index})
		}
	}
	return poolProblem{}
}

// usable reports whether a version of the pool's spec is in force.
func (p *pool) usable() bool { return p.inForce != nil }

// deleting reports whether the pool is only there until Services have given its addresses back. It
// hands out nothing.
func (p *pool) deleting() bool { return p.object.DeletionTimestamp != nil }

// is reports whether the pool has a name. No pool has any.
func (p *pool) is(name string) bool { return p != nil && p.name == name }

// sameObject reports whether an object would be read as the same pool.
func (p *pool) sameObject(object *v1alpha1.IPAddressPool) bool {
	return p.object == object || p.object.UID == object.UID &&
		p.object.CreationTimestamp.Equal(&object.CreationTimestamp) &&
		p.object.DeletionTimestamp.Equal(object.DeletionTimestamp) &&
		reflect.DeepEqual(p.object.Spec, object.Spec)
}

// compareAge puts the older pool first, and those that are being deleted last. Of two of one second
// the name decides.
func (p *pool) compareAge(q *pool) int {
	deleting := func(p *pool) int {
		if p.deleting() {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(deleting(p), deleting(q)),
		p.object.CreationTimestamp.Compare(q.object.CreationTimestamp.Time),
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
	return covered && (p.skipBuggy && Buggy(addr) || slices.ContainsFunc(p.exclude, func(r Range) bool { return r.Contains(addr) }))
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
	for _, e := range p.own {
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
