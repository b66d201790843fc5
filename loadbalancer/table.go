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
	addresses map[netip.Addr]*holding
	// services has every Service that was asked for and not released, and those whose former address still rests.
	services map[types.NamespacedName]*record
	// shared finds the holdings by sharing key.
	shared map[string]*group
}

// holding is an address that is owned, or rests after it was.
type holding struct {
	addr netip.Addr
	// pool has the address; nil if it was taken from the pool while a Service has it.
	pool *pool
	zone zone
	// owners, the oldest Service first. Several have the same sharing key.
	owners []*record

	// former had the address until it was given back; the address rests until restsUntil.
	former     *record
	restsUntil time.Time
}

// record is a Service.
type record struct {
	request Request
	// live is false for a Service that was released; its record stays for as long as its former address rests.
	live bool
	held [families]*holding
	// rests are the addresses that the Service had and may have back.
	rests [families]*holding

	// asked is set once Ensure has answered. The answer was problem or message, and missing is the part of the message
	// that does not follow from the table.
	asked bool
	// told is what was wrong with each family.
	problem *Error
	message string
	missing string
	told    [families]*Error
	// queues have the record for as long as it waits for something.
	queues []*queue
	// poked is set from when the Service is told to ask again until it does.
	poked bool
}

func newTable() *table {
	return &table{
		addresses: map[netip.Addr]*holding{},
		services:  map[types.NamespacedName]*record{},
		shared:    map[string]*group{},
	}
}

// hold makes a Service an owner of an address. The address is free, rests, or has owners that the Service gets on with.
func (t *table) hold(rec *record, addr netip.Addr, in *pool, zone zone) *holding {
	f := familyOf(addr)
	h := t.addresses[addr]
	switch {
	case h == nil:
		h = &holding{addr: addr, pool: in, zone: zone}
		t.addresses[addr] = h
		if h.zone == forAll {
			in.spaces[f].remove(addr)
		}
		in.spaces[f].held[h.zone]++
	case len(h.owners) == 0:
		in.spaces[f].resting.Delete(h)
		t.detachFormer(h)
		in.spaces[f].held[h.zone]++
	}
	i, _ := slices.BinarySearchFunc(h.owners, rec, compareAge)
	h.owners = slices.Insert(h.owners, i, rec)
	rec.held[f] = h
	t.enter(rec, h)
	return h
}

// leave ends a Service's ownership. An address without owners rests, if its pool says so.
func (t *table) leave(rec *record, h *holding, now time.Time) {
	f := familyOf(h.addr)
	t.withdraw(rec, h)
	h.owners = slices.DeleteFunc(h.owners, func(o *record) bool { return o == rec })
	if rec.held[f] == h {
		rec.held[f] = nil
	}
	if len(h.owners) > 0 {
		return
	}
	if h.pool == nil {
		delete(t.addresses, h.addr)
		return
	}
	s := h.pool.spaces[f]
	s.held[h.zone]--
	s.wake(now, t)
	if h.zone != forAll || h.pool.reuseAfter <= 0 {
		delete(t.addresses, h.addr)
		if h.zone == forAll {
			s.add(h.addr)
		}
		return
	}
	if old := rec.rests[f]; old != nil {
		old.former = nil
	}
	h.former, h.restsUntil, rec.rests[f] = rec, now.Add(h.pool.reuseAfter), h
	s.resting.ReplaceOrInsert(h)
}

// forget removes an address that nobody has from the table.
func (t *table) forget(h *holding) {
	t.detachFormer(h)
	delete(t.addresses, h.addr)
}

func (t *table) detachFormer(h *holding) {
	if h.former == nil {
		return
	}
	h.former.rests[familyOf(h.addr)] = nil
	t.tidy(h.former)
	h.former = nil
}

// tidy removes the record of a Service that is gone and has nothing that rests.
func (t *table) tidy(rec *record) {
	if !rec.live && rec.rests == [families]*holding{} {
		delete(t.services, rec.request.Service)
	}
}

// update replaces a Service's request.
func (t *table) update(rec *record, r Request) {
	for _, h := range rec.held {
		if h != nil {
			t.withdraw(rec, h)
		}
	}
	rec.request = r
	for _, h := range rec.held {
		if h != nil {
			t.enter(rec, h)
		}
	}
}

// group is what is shared under one key.
type group struct {
	// owners counts each holding's owners, holdings each family's holdings, and busy those of them where a port is taken.
	owners   map[*holding]int
	holdings [families]int
	busy     [families]map[Port]int
}

func (t *table) enter(rec *record, h *holding) {
	key, f := rec.request.SharingKey, familyOf(h.addr)
	if key == "" {
		return
	}
	g := t.shared[key]
	if g == nil {
		g = &group{owners: map[*holding]int{}, busy: [families]map[Port]int{{}, {}}}
		t.shared[key] = g
	}
	if g.owners[h]++; g.owners[h] == 1 {
		g.holdings[f]++
	}
	for _, port := range rec.request.Ports {
		g.busy[f][port]++
	}
}

func (t *table) withdraw(rec *record, h *holding) {
	key, f := rec.request.SharingKey, familyOf(h.addr)
	if key == "" {
		return
	}
	g := t.shared[key]
	if g.owners[h]--; g.owners[h] == 0 {
		delete(g.owners, h)
		g.holdings[f]--
	}
	for _, port := range rec.request.Ports {
		if g.busy[f][port]--; g.busy[f][port] == 0 {
			delete(g.busy[f], port)
		}
	}
	if len(g.owners) == 0 {
		delete(t.shared, key)
	}
}

// full reports whether one of the ports is taken everywhere, so that there is no need to look.
func (g *group) full(f family, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool { return g.busy[f][port] >= g.holdings[f] })
}

func (t *table) owners(addr netip.Addr) []*record {
	if h := t.addresses[addr]; h != nil {
		return h.owners
	}
	return nil
}

func compareAge(a, b *record) int { return a.request.compareAge(&b.request) }

// misfit says why a request cannot have an address together with an owner of it; nil if it can.
func misfit(addr netip.Addr, p *pool, r *Request, owner *record) *Error {
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
		h := rec.held[f]
		if h == nil || h.pool == nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		var sharers []string
		for _, o := range h.owners {
			if o != rec && len(sharers) <= mostNamed {
				sharers = append(sharers, o.request.Service.String())
			}
		}
		text += assignedFrom(h.addr, h.pool.name, sharers)
	}
	if rec.missing != "" {
		text += "; " + rec.missing
	}
	return text
}
