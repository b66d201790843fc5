package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// table says who has which address. Each holding lists its owners and each record its holdings; both directions, and what is
// found by sharing key, are written by hold, leave and update alone.
type table struct {
	// addresses has every address that is owned or rests.
	addresses map[netip.Addr]*allocation
	// services has every Service that was asked for and not released, and those whose former address still rests.
	services map[types.NamespacedName]*record
	// groups finds the holdings by sharing key.
	groups map[string]*group
}

// allocation is an address that is owned, or rests after it was.
type allocation struct {
	addr netip.Addr
	// pool has the address; nil if it was taken from the pool while a Service has it.
	pool     *pool
	audience audience
	// owners, the oldest Service first. Several have the same sharing key.
	owners []*record

	// formerOwner had the address until it was given back; the address rests until restsUntil.
	formerOwner *record
	reusableAt  time.Time
}

// record is a Service.
type record struct {
	request Request
	// live is false for a Service that was released; its record stays for as long as its former address rests.
	live  bool
	owned [families]*allocation
	// former are the addresses that the Service had and may have back.
	former [families]*allocation

	// answered is set once Ensure has answered. The answer was problem or message, and missing is the part of the message
	// that does not follow from the table.
	answered bool
	// told is what was wrong with each family.
	problem  *Error
	message  string
	missing  string
	problems [families]*Error
	// queues have the record for as long as it waits for something.
	queues []*queue
	// requeued is set from when the Service is told to ask again until it does.
	requeued bool
}

func newTable() *table {
	return &table{
		addresses: map[netip.Addr]*allocation{},
		services:  map[types.NamespacedName]*record{},
		groups:    map[string]*group{},
	}
}

// addOwner makes a Service an owner of an address. The address is free, rests, or has owners that the Service gets on with.
func (t *table) addOwner(rec *record, addr netip.Addr, in *pool, zone audience) *allocation {
	f := familyOf(addr)
	alloc := t.addresses[addr]
	switch {
	case alloc == nil:
		alloc = &allocation{addr: addr, pool: in, audience: zone}
		t.addresses[addr] = alloc
		if alloc.audience == forAll {
			in.spaces[f].remove(addr)
		}
		in.spaces[f].allocated[alloc.audience]++
	case len(alloc.owners) == 0:
		in.spaces[f].awaitingReuse.Delete(alloc)
		t.forgetFormerOwner(alloc)
		in.spaces[f].allocated[alloc.audience]++
	}
	i, _ := slices.BinarySearchFunc(alloc.owners, rec, compareAge)
	alloc.owners = slices.Insert(alloc.owners, i, rec)
	rec.owned[f] = alloc
	t.indexSharing(rec, alloc)
	return alloc
}

// removeOwner ends a Service's ownership. An address without owners rests, if its pool says so.
func (t *table) removeOwner(rec *record, alloc *allocation, now time.Time) {
	f := familyOf(alloc.addr)
	t.unindexSharing(rec, alloc)
	alloc.owners = slices.DeleteFunc(alloc.owners, func(o *record) bool { return o == rec })
	if rec.owned[f] == alloc {
		rec.owned[f] = nil
	}
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
	alloc.formerOwner, alloc.reusableAt, rec.former[f] = rec, now.Add(alloc.pool.reuseAfter), alloc
	s.awaitingReuse.ReplaceOrInsert(alloc)
}

// forget removes an address that nobody has from the table.
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

// discardIfUnused removes the record of a Service that is gone and has nothing that rests.
func (t *table) discardIfUnused(rec *record) {
	if !rec.live && rec.former == [families]*allocation{} {
		delete(t.services, rec.request.Service)
	}
}

// update replaces a Service's request.
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

// group is what is shared under one key.
type group struct {
	// owners counts each holding's owners, holdings each family's holdings, and busy those of them where a port is taken.
	owners      map[*allocation]int
	allocations [families]int
	busy        [families]map[Port]int
}

func (t *table) indexSharing(rec *record, alloc *allocation) {
	key, f := rec.request.SharingKey, familyOf(alloc.addr)
	if key == "" {
		return
	}
	g := t.groups[key]
	if g == nil {
		g = &group{owners: map[*allocation]int{}, busy: [families]map[Port]int{{}, {}}}
		t.groups[key] = g
	}
	if g.owners[alloc]++; g.owners[alloc] == 1 {
		g.allocations[f]++
	}
	for _, port := range rec.request.Ports {
		g.busy[f][port]++
	}
}

func (t *table) unindexSharing(rec *record, alloc *allocation) {
	key, f := rec.request.SharingKey, familyOf(alloc.addr)
	if key == "" {
		return
	}
	g := t.groups[key]
	if g.owners[alloc]--; g.owners[alloc] == 0 {
		delete(g.owners, alloc)
		g.allocations[f]--
	}
	for _, port := range rec.request.Ports {
		if g.busy[f][port]--; g.busy[f][port] == 0 {
			delete(g.busy[f], port)
		}
	}
	if len(g.owners) == 0 {
		delete(t.groups, key)
	}
}

// full reports whether one of the ports is taken everywhere, so that there is no need to look.
func (g *group) full(f family, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool { return g.busy[f][port] >= g.allocations[f] })
}

func (t *table) owners(addr netip.Addr) []*record {
	if alloc := t.addresses[addr]; alloc != nil {
		return alloc.owners
	}
	return nil
}

func compareAge(a, b *record) int { return a.request.compareAge(&b.request) }

// sharingConflict says why a request cannot have an address together with an owner of it; nil if it can.
func sharingConflict(addr netip.Addr, p *pool, r *Request, owner *record) *Error {
	o := &owner.request
	switch {
	case r.SharingKey == "" || o.SharingKey == "":
		return inUse(addr, o.Service)
	case r.SharingKey != o.SharingKey:
		return otherKey(addr, o.Service)
	case p.keepsApart(r.Service.Namespace, o.Service.Namespace):
		return otherNamespace(addr, p.name, o.Service)
	case r.Backends != o.Backends:
		return otherBackends(addr, o.Service)
	}
	for _, port := range r.Ports {
		if slices.Contains(o.Ports, port) {
			return portTaken(addr, port, o.Service)
		}
	}
	return nil
}

// describe is the sentence about what a Service has.
func (rec *record) describe() string {
	text := ""
	for _, f := range rec.request.wanted() {
		alloc := rec.owned[f]
		if alloc == nil || alloc.pool == nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		var sharers []string
		for _, o := range alloc.owners {
			if o != rec && len(sharers) <= mostNamed {
				sharers = append(sharers, o.request.Service.String())
			}
		}
		text += assignedFrom(alloc.addr, alloc.pool.name, sharers)
	}
	if rec.missing != "" {
		text += "; " + rec.missing
	}
	return text
}
