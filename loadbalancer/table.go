package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// table says who has which address. Each allocation lists its owners and each record the
// allocations that it owns. Both directions, and the groups, are written by addOwner, removeOwner
// and update alone.
type table struct {
	// addresses has every address that has owners or awaits its reuse.
	addresses map[netip.Addr]*allocation
	// services has every Service that was asked for and not released, and those whose former
	// address still awaits its reuse.
	services map[types.NamespacedName]*record
	// groups has what is shared under each sharing key.
	groups map[string]*group
	// reusable are the addresses that awaited their reuse until a short while ago, and of which
	// nobody who waits for one of them was told yet.
	reusable []netip.Addr
	// usesChanged are the uses of pools with a limit that are others now, and of which nobody was told
	// yet.
	usesChanged []use
}

// allocation is an address that has owners, or that had some and awaits its reuse: until
// reusableAt, others get it only if nothing else is left or if they are of its formerNamespace and
// ask for it by name.
type allocation struct {
	addr netip.Addr
	// pool has the address; nil if no pool has, or none any more, and a Service has it all the same.
	pool     *pool
	audience audience
	// takenOut says that the address is in no pool because an edit took it out of its pool. Its
	// owners lose it. Those of an address whose pool is gone do not.
	takenOut bool
	// owners, the one that was there first before the others. If there are several, they have the
	// same sharing key.
	owners []*record

	// formerOwner is the last that gave the address back and may have it back; nil if that is nobody.
	// formerNamespace is its namespace, also if it is nil.
	formerOwner     *record
	formerNamespace string
	reusableAt      time.Time
}

// record is a Service.
type record struct {
	request Request
	// live is false for a Service that was released. Its record stays for as long as its former
	// address awaits its reuse.
	live bool
	// since is when the Service, which had no address, was given one, or when it last joined an address
	// that others had. Of Services that share an address, the one that was there first keeps it.
	since time.Time
	// owned are the addresses that the Service has, and former those that it had and may have back.
	owned, former [families]*allocation

	// answered is set once Ensure has answered. The answer was problem, or message if problem is nil.
	answered bool
	problem  *Error
	message  string
	// missing is the part of message that does not follow from the table: why a family is missing.
	missing string
	// problems has what was wrong with each family.
	problems [families]*Error

	// queues have the record for as long as it waits for something.
	queues []*queue
	// requeued is set from when the Service is requeued until it is asked for again.
	requeued bool
}

func newTable() *table {
	return &table{
		addresses: map[netip.Addr]*allocation{},
		services:  map[types.NamespacedName]*record{},
		groups:    map[string]*group{},
	}
}

// addOwner makes a Service an owner of an address. The address is free, awaits its reuse, or has
// owners. Those with whom the Service does not share it must be evicted.
func (t *table) addOwner(rec *record, c choice) *allocation {
	f := familyOf(c.addr)
	alloc := t.addresses[c.addr]
	switch {
	case alloc == nil:
		alloc = &allocation{addr: c.addr, pool: c.pool, audience: c.audience}
		t.addresses[c.addr] = alloc
		if c.pool == nil {
			break
		}
		s := c.pool.spaces[f]
		if alloc.audience == forAll {
			s.remove(c.addr)
		}
		s.allocated[alloc.audience]++
	case len(alloc.owners) == 0:
		s := c.pool.spaces[f]
		s.awaitingReuse.Delete(alloc)
		t.forgetFormerOwner(alloc)
		alloc.formerNamespace = ""
		s.allocated[alloc.audience]++
	}
	t.countUse(alloc, rec.request.Service.Namespace, 1)
	i, _ := slices.BinarySearchFunc(alloc.owners, rec, compareSeniority)
	alloc.owners = slices.Insert(alloc.owners, i, rec)
	rec.owned[f] = alloc
	t.indexSharing(rec, alloc)
	return alloc
}

// removeOwner ends a Service's ownership. An address without owners awaits its reuse, if its pool
// says so.
func (t *table) removeOwner(rec *record, alloc *allocation, now time.Time) {
	f := familyOf(alloc.addr)
	t.unindexSharing(rec, alloc)
	alloc.owners = slices.DeleteFunc(alloc.owners, func(o *record) bool { return o == rec })
	if rec.owned[f] == alloc {
		rec.owned[f] = nil
	}
	t.countUse(alloc, rec.request.Service.Namespace, -1)
	if len(alloc.owners) > 0 {
		return
	}
	if alloc.pool == nil {
		delete(t.addresses, alloc.addr)
		return
	}
	s := alloc.pool.spaces[f]
	s.allocated[alloc.audience]--
	s.reclaim(now, t)
	if alloc.audience != forAll || alloc.pool.reuseAfter <= 0 {
		delete(t.addresses, alloc.addr)
		if alloc.audience == forAll {
			s.add(alloc.addr)
		}
		return
	}
	if old := rec.former[f]; old != nil {
		old.formerOwner = nil
	}
	alloc.formerOwner, alloc.formerNamespace, rec.former[f] = rec, rec.request.Service.Namespace, alloc
	alloc.reusableAt = now.Add(alloc.pool.reuseAfter)
	s.awaitingReuse.ReplaceOrInsert(alloc)
}

// forget removes an address without owners from the table.
func (t *table) forget(alloc *allocation) {
	t.forgetFormerOwner(alloc)
	delete(t.addresses, alloc.addr)
}

func (t *table) forgetFormerOwner(alloc *allocation) {
	if alloc.formerOwner == nil {
		return
	}
	alloc.formerOwner.former[familyOf(alloc.addr)] = nil
	t.discardIfUnused(alloc.formerOwner)
	alloc.formerOwner = nil
}

// discardIfUnused removes the record of a Service that was released and has no address to have back.
func (t *table) discardIfUnused(rec *record) {
	if !rec.live && rec.former == [families]*allocation{} {
		delete(t.services, rec.request.Service)
	}
}

// update replaces the request of a Service.
func (t *table) update(rec *record, r Request) {
	for _, alloc := range rec.owned {
		if alloc != nil {
			t.unindexSharing(rec, alloc)
		}
	}
	rec.request = r
	for _, alloc := range rec.owned {
		if alloc != nil {
			t.indexSharing(rec, alloc)
		}
	}
}

// setSince changes since when a Service has its addresses.
func (t *table) setSince(rec *record, since time.Time) {
	if rec.since.Equal(since) {
		return
	}
	rec.since = since
	for _, alloc := range rec.owned {
		if alloc != nil {
			slices.SortFunc(alloc.owners, compareSeniority)
		}
	}
}

func (t *table) owners(addr netip.Addr) []*record {
	if alloc := t.addresses[addr]; alloc != nil {
		return alloc.owners
	}
	return nil
}

func compareAge(a, b *record) int { return a.request.compareAge(&b.request) }

// asRecorded is a time as a status has it, without fractions of a second.
func asRecorded(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// compareSeniority puts the Service first that was there first. Of two of one second the older is.
func compareSeniority(a, b *record) int {
	return cmp.Or(a.since.Compare(b.since), compareAge(a, b))
}

// describe is the sentence about what a Service has.
func (a *Allocator) describe(rec *record) string {
	text := ""
	for _, f := range rec.request.wanted() {
		alloc := rec.owned[f]
		if alloc == nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += assignedFrom(alloc.addr, alloc.pool, alloc.sharers(rec))
	}
	list := []string{text, rec.missing}
	for _, c := range a.clashes(rec) {
		list = append(list, c.Sentence)
	}
	return sentences(list...)
}

// sharers names those who share the address with a Service, the oldest first, and one more at most
// than a sentence names.
func (alloc *allocation) sharers(rec *record) []string {
	var oldest []*record
	for _, o := range alloc.owners {
		if o == rec {
			continue
		}
		i, _ := slices.BinarySearchFunc(oldest, o, compareAge)
		oldest = slices.Insert(oldest, i, o)
		oldest = oldest[:min(len(oldest), mostNamed+1)]
	}
	var list []string
	for _, o := range oldest {
		list = append(list, o.request.Service.String())
	}
	return list
}

// addresses of the Service, ordered by its families. An address of a family that it wants no more
// comes last.
func (rec *record) addresses() []netip.Addr {
	var list []netip.Addr
	for _, name := range rec.request.Families {
		if f, ok := familyFrom(name); ok && rec.owned[f] != nil && !slices.Contains(list, rec.owned[f].addr) {
			list = append(list, rec.owned[f].addr)
		}
	}
	return list
}

func owns(owned [families]*allocation, addr netip.Addr) bool {
	alloc := owned[familyOf(addr)]
	return alloc != nil && alloc.addr == addr
}
