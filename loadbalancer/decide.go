package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// decision is what a Service is to have.
type decision struct {
	choices [families]choice
	// problem is why the Service gets nothing, or nothing new; nil if it is served.
	problem *Error
	// problems has what is wrong with each family.
	problems [families]*Error
	// missing says why a family is missing that is merely preferred.
	missing string
	// waits are what the Service waits for: if one of them comes, the decision may be another one.
	waits []awaited
}

// choice is an address, with its pool and its audience. The zero value is none.
type choice struct {
	addr     netip.Addr
	pool     *pool
	audience audience
	// claimed says that the Service has the address by its status.
	claimed bool
}

func (alloc *allocation) choice() choice {
	return choice{addr: alloc.addr, pool: alloc.pool, audience: alloc.audience}
}

// decide says what a Service is to have. It changes nothing that anybody has. rec is what the table
// has of the Service, with the request before this one; claims are the addresses that it has by its
// own status.
func (a *Allocator) decide(now time.Time, r *Request, rec *record, claims [families]choice) decision {
	wanted := r.wanted()
	switch {
	case r.Invalid != nil:
		return a.keepAll(r, rec, claims)
	case len(wanted) == 0:
		return decision{problem: noFamily()}
	case r.requiresBoth() && len(wanted) < int(families):
		return decision{problem: needsTwoFamilies(wanted[0])}
	}

	var d decision
	served := false
	for _, f := range wanted {
		if claims[f].addr.IsValid() {
			d.choices[f] = claims[f]
		} else {
			d.choices[f], d.problems[f] = a.choose(now, r, rec, f)
		}
		served = served || d.problems[f] == nil
	}
	for _, f := range wanted {
		if d.problems[f] == nil {
			continue
		}
		d.waits = a.waitsFor(d.waits, r, rec, f)
		if r.requiresBoth() {
			d.choices, d.problem = [families]choice{}, d.problems[f]
			return d
		}
		if served {
			d.missing = withoutFamily(f, d.problems[f])
		} else if d.problem == nil {
			d.problem = d.problems[f]
		}
	}
	if served && d.missing == "" {
		d.missing = r.familyNotGiven()
	}
	return d
}

// keepAll leaves a Service whose request is invalid what it may keep.
func (a *Allocator) keepAll(r *Request, rec *record, claims [families]choice) decision {
	d := decision{choices: claims, problem: r.Invalid}
	for _, f := range r.wanted() {
		if alloc := rec.owned[f]; alloc != nil && a.mayKeep(alloc, r, rec) {
			d.choices[f] = alloc.choice()
		}
	}
	return d
}

// choose finds the address of one family: the one that the Service has; the one that it asks for;
// the one that it had; one that is reserved for it; one that others share with it; the next one of
// the first pool that has any.
func (a *Allocator) choose(now time.Time, r *Request, rec *record, f family) (choice, *Error) {
	if alloc := rec.owned[f]; alloc != nil && a.mayKeep(alloc, r, rec) {
		return alloc.choice(), nil
	}
	if wish := r.wish(f); wish.IsValid() {
		if problem := a.whyNot(now, wish, r, rec, a.table.owners(wish)); problem != nil {
			return choice{}, problem
		}
		p := a.poolOf(wish)
		return choice{addr: wish, pool: p, audience: a.audienceOf(wish)}, nil
	}
	if c, ok := a.formerAddress(now, r, rec, f); ok {
		return c, nil
	}
	if c, ok := a.reservedAddress(r, rec, f); ok {
		return c, nil
	}
	if c, ok := a.sharedAddress(r, rec, f); ok {
		return c, nil
	}
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) && !p.limits(r, rec, f) {
			if addr, ok := s.pick(now, a.table); ok {
				return choice{addr: addr, pool: p}, nil
			}
		}
	}
	return choice{}, a.whyNone(r, rec, f)
}

// mayKeep reports whether a Service may keep an address that it has. It must be able to share with
// the owners that were there before it. Those that came later must give way, whoever of them has
// changed.
func (a *Allocator) mayKeep(alloc *allocation, r *Request, rec *record) bool {
	if alloc.takenOut || !a.mayHave(alloc.addr, alloc.pool, r, r.Pool == rec.request.Pool) {
		return false
	}
	for _, o := range alloc.owners {
		if o == rec {
			break
		}
		if sharingConflict(alloc.addr, alloc.pool, r, o) != nil {
			return false
		}
	}
	return true
}

// mayHave reports whether a Service may have an address at all, if it has it already or claims it.
// Which Services the pool is for does not matter: that decides who is given an address, and takes
// none away. unchanged says that the Service asks for the same pool as when it got the address: if
// that pool is gone, the Service loses nothing by it.
func (a *Allocator) mayHave(addr netip.Addr, p *pool, r *Request, unchanged bool) bool {
	f := familyOf(addr)
	if !r.wants(f) || a.yields(r, addr) {
		return false
	}
	if r.Invalid != nil {
		return true
	}
	if wish := r.wish(f); wish.IsValid() && wish != addr {
		return false
	}
	return r.Pool == "" || p.is(r.Pool) || unchanged && !a.handsOut(r.Pool)
}

// handsOut reports whether there is a pool of that name which hands out addresses.
func (a *Allocator) handsOut(name string) bool {
	p := a.pools[name]
	return p != nil && p.usable() && !p.deleting()
}

// formerAddress is the address that the Service had last, if that still awaits its reuse.
func (a *Allocator) formerAddress(now time.Time, r *Request, rec *record, f family) (choice, bool) {
	alloc := rec.former[f]
	if alloc == nil || alloc.pool == nil || !alloc.reusableAt.After(now) || !a.serves(alloc.pool, r) || alloc.pool.limits(r, rec, f) {
		return choice{}, false
	}
	return alloc.choice(), true
}

// reservedAddress is an address that a reservation keeps for the Service, and that nobody has or
// that its owners share with it.
func (a *Allocator) reservedAddress(r *Request, rec *record, f family) (choice, bool) {
	if !a.hasReservation[r.Service] {
		return choice{}, false
	}
	for _, p := range a.order {
		s := p.spaces[f]
		if s == nil || r.Pool != "" && r.Pool != p.name || a.refusal(p, r) != "" {
			continue
		}
		for _, reserved := range p.restrictions {
			if reserved.audience != forOne || reserved.service != r.Service || reserved.family() != f {
				continue
			}
			for addr := reserved.From; addr.IsValid() && !reserved.To.Less(addr); addr = s.next(addr) {
				if !s.skips(addr) && canShare(addr, p, r, rec, a.table.owners(addr)) {
					return choice{addr: addr, pool: p, audience: forOne}, true
				}
			}
		}
	}
	return choice{}, false
}

// sharedAddress is an address that Services with the same sharing key have and that this one can
// share. Of several it is that of the first pool, and there the lowest.
func (a *Allocator) sharedAddress(r *Request, rec *record, f family) (choice, bool) {
	g := a.table.groups[r.SharingKey]
	if g == nil || g.allocations[f] == 0 || g.full(f, r.Ports) {
		return choice{}, false
	}
	var best *allocation
	for alloc := range g.owners {
		if familyOf(alloc.addr) != f || alloc.pool == nil {
			continue
		}
		if best != nil && cmp.Or(cmp.Compare(alloc.pool.rank, best.pool.rank), alloc.addr.Compare(best.addr)) > 0 {
			continue
		}
		if a.mayShare(alloc, r, rec, alloc.owners) {
			best = alloc
		}
	}
	if best == nil {
		return choice{}, false
	}
	return best.choice(), true
}

// mayShare reports whether a Service that does not ask for an address by name may have one together
// with owners.
func (a *Allocator) mayShare(alloc *allocation, r *Request, rec *record, owners []*record) bool {
	f := familyOf(alloc.addr)
	if alloc.pool == nil || alloc.audience != forAll || !r.wants(f) || r.wish(f).IsValid() || !a.serves(alloc.pool, r) {
		return false
	}
	if alloc.pool.limits(r, rec, f) && !hasNamespace(owners, r.Service.Namespace) {
		return false
	}
	return canShare(alloc.addr, alloc.pool, r, rec, owners)
}

// canShare reports whether a Service has no sharing conflict with any owner of an address.
func canShare(addr netip.Addr, p *pool, r *Request, rec *record, owners []*record) bool {
	return !slices.ContainsFunc(owners, func(o *record) bool {
		return o != rec && sharingConflict(addr, p, r, o) != nil
	})
}

// serves reports whether a pool gives addresses to a Service that names none.
func (a *Allocator) serves(p *pool, r *Request) bool {
	if r.Pool == "" {
		return p.autoAssign && a.refusal(p, r) == ""
	}
	return r.Pool == p.name && a.refusal(p, r) == ""
}

// waitsFor adds what a Service that misses a family waits for.
func (a *Allocator) waitsFor(list []awaited, r *Request, rec *record, f family) []awaited {
	if wish := r.wish(f); wish.IsValid() {
		if p := a.poolOf(wish); p != nil && p.limits(r, rec, f) {
			list = append(list, awaited{use: use{p.spaces[f], r.Service.Namespace}})
		}
		return append(list, awaited{addr: wish})
	}
	for _, p := range a.order {
		switch s := p.spaces[f]; {
		case s == nil || !a.serves(p, r):
		case p.limits(r, rec, f):
			list = append(list, awaited{use: use{s, r.Service.Namespace}})
		default:
			list = append(list, awaited{space: s})
		}
	}
	if r.SharingKey != "" {
		list = append(list, awaited{sharingKey: sharingKey{r.SharingKey, f}})
	}
	return list
}

// claims are the addresses that a Service which is seen for the first time has according to its
// status, and may have. It claims them from Services that have them since later, too. An address that is in no pool, or
// not in the pool that the Service asks for, is claimed if the status is our own answer: the pool
// that it came from is gone.
func (a *Allocator) claims(rec *record) (claims [families]choice) {
	r := &rec.request
	for _, addr := range r.Current {
		f := familyOf(addr)
		p := a.poolOf(addr)
		if claims[f].addr.IsValid() || !a.mayHave(addr, p, r, r.Answered) || p == nil && (!r.Answered || a.takenOut(addr)) {
			continue
		}
		if !slices.ContainsFunc(a.table.owners(addr), func(o *record) bool {
			return compareSeniority(o, rec) < 0 && sharingConflict(addr, p, r, o) != nil
		}) {
			claims[f] = choice{addr: addr, pool: p, claimed: true}
			if p != nil {
				claims[f].audience = a.audienceOf(addr)
			}
		}
	}
	return claims
}
