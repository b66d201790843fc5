package loadbalancer

import (
	"cmp"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// defaultReuseAfter is spec.reuseAfter of a pool that does not say.
const defaultReuseAfter = 30 * time.Second

// pool is an IPAddressPool, read.
type pool struct {
	object *v1alpha1.IPAddressPool
	name   string

	// Why the pool cannot be used, empty if it can: reason of the Ready condition and a sentence.
	reason, message string
	// ownReason and ownMessage are what is wrong with the pool itself, whatever the other pools are.
	ownReason, ownMessage string

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
	// effective is entries without exclude, sorted; one entry may be in several pieces.
	effective []entry

	// spaces hold the addresses of each family, once built; nil if the pool has none of it.
	built  bool
	spaces [families]*space
	// restrictions are the parts of the pool that are not for everybody, as they were when the spaces were built.
	restrictions []restriction
	// established is set for a pool that is in use, here or, as its status says, under an allocator before this one.
	established bool
	// rank is the place of the pool in the order in which pools are tried.
	rank int
}

// entry is one of spec.addresses. Addresses are handed out in the order of the entries.
type entry struct {
	Range
	index int
}

// readPool never fails: a pool that cannot be used says why.
func readPool(object *v1alpha1.IPAddressPool) *pool {
	spec := &object.Spec
	p := &pool{
		object:     object,
		name:       object.Name,
		autoAssign: spec.AutoAssign == nil || *spec.AutoAssign,
		skipBuggy:  spec.AvoidBuggyIPs,
		reuseAfter: defaultReuseAfter,
		sharing:    cmp.Or(spec.Sharing, v1alpha1.SharingCluster),
	}
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	p.established = ready != nil && ready.Reason == v1alpha1.ReasonValid && ready.ObservedGeneration == object.Generation
	if spec.ReuseAfter != nil {
		p.reuseAfter = spec.ReuseAfter.Duration
	}
	p.ownReason, p.ownMessage = p.readAddresses()
	if p.ownReason == "" && spec.ServiceAllocation != nil {
		p.priority = spec.ServiceAllocation.Priority
		var err error
		if p.selection, err = readSelection(spec.ServiceAllocation); err != nil {
			p.ownReason, p.ownMessage = v1alpha1.ReasonInvalidSelector, err.Error()
		}
	}
	p.reason, p.message = p.ownReason, p.ownMessage
	return p
}

func (p *pool) readAddresses() (reason, message string) {
	for i, text := range p.object.Spec.Addresses {
		r, err := ParseRange(text)
		if err != nil {
			return v1alpha1.ReasonInvalidAddress, badEntry("spec.addresses", err)
		}
		p.entries = append(p.entries, entry{r, i})
	}
	for _, text := range p.object.Spec.Exclude {
		r, err := ParseRange(text)
		if err != nil {
			return v1alpha1.ReasonInvalidAddress, badEntry("spec.exclude", err)
		}
		p.exclude = append(p.exclude, r)
	}
	p.exclude = merge(p.exclude)
	slices.SortStableFunc(p.entries, func(a, b entry) int { return a.compare(b.Range) })
	for i, e := range p.entries {
		if i > 0 && p.entries[i-1].overlaps(e.Range) {
			first, second := min(p.entries[i-1].index, e.index), max(p.entries[i-1].index, e.index)
			return v1alpha1.ReasonOverlaps, entriesOverlap(p.object.Spec.Addresses[first], p.object.Spec.Addresses[second])
		}
		for _, piece := range subtract(e.Range, p.exclude) {
			p.effective = append(p.effective, entry{piece, e.index})
		}
	}
	return "", ""
}

func (p *pool) usable() bool { return p.reason == "" }

// sameObject reports whether an object would be read as the same pool.
func (p *pool) sameObject(object *v1alpha1.IPAddressPool) bool {
	return p.object == object || p.object.UID == object.UID &&
		p.object.CreationTimestamp.Equal(&object.CreationTimestamp) &&
		reflect.DeepEqual(p.object.Spec, object.Spec)
}

// compareAge puts the older pool first. The time of creation has whole seconds: of two pools of one second, the one that is
// in use counts as the older.
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

// compareOrder puts first the pool that is tried first: those for some Services before those for everybody, then by
// priority, then by name.
func (p *pool) compareOrder(q *pool) int {
	general := func(p *pool) int {
		if p.selection.present {
			return 0
		}
		return 1
	}
	// No priority is the last one.
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

// buildSpaces makes the spaces, with nothing in them held.
func (p *pool) buildSpaces() {
	p.built, p.spaces = true, [families]*space{}
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

// selection is spec.serviceAllocation: which Services may use the pool. A nil list is anybody, an empty one nobody.
type selection struct {
	present           bool
	anyNamespace      bool
	namespaces        map[string]bool
	namespaceSelector []labels.Selector
	anyService        bool
	serviceSelector   []labels.Selector
}

func readSelection(spec *v1alpha1.ServiceAllocation) (selection, error) {
	s := selection{
		anyNamespace: spec.Namespaces == nil && spec.NamespaceSelectors == nil,
		anyService:   spec.ServiceSelectors == nil,
		namespaces:   map[string]bool{},
	}
	s.present = !s.anyNamespace || !s.anyService
	for _, name := range spec.Namespaces {
		s.namespaces[name] = true
	}
	var err error
	if s.namespaceSelector, err = readSelectors("spec.serviceAllocation.namespaceSelectors", spec.NamespaceSelectors); err != nil {
		return selection{}, err
	}
	if s.serviceSelector, err = readSelectors("spec.serviceAllocation.serviceSelectors", spec.ServiceSelectors); err != nil {
		return selection{}, err
	}
	return s, nil
}

func readSelectors(where string, specs []metav1.LabelSelector) ([]labels.Selector, error) {
	var list []labels.Selector
	for i := range specs {
		selector, err := metav1.LabelSelectorAsSelector(&specs[i])
		if err != nil {
			return nil, &selectorError{where + "[" + strconv.Itoa(i) + "]", err}
		}
		list = append(list, selector)
	}
	return list, nil
}

type selectorError struct {
	where string
	err   error
}

func (e *selectorError) Error() string { return badSelector(e.where, e.err) }

// admitsNamespace reports whether Services of a namespace may use the pool. The labels of a namespace that is not known are
// nil, and no selector matches it: what it would be denied must not be had by being early.
func (s *selection) admitsNamespace(name string, set labels.Set) bool {
	if !s.present || s.anyNamespace || s.namespaces[name] {
		return true
	}
	return set != nil && slices.ContainsFunc(s.namespaceSelector, func(l labels.Selector) bool { return l.Matches(set) })
}

func (s *selection) admitsLabels(set labels.Set) bool {
	if !s.present || s.anyService {
		return true
	}
	return slices.ContainsFunc(s.serviceSelector, func(l labels.Selector) bool { return l.Matches(set) })
}
