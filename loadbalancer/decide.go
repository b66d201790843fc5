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
	// problem is why it is to have nothing, or nothing new.
	problem *Error
	// problems is what is wrong with each family.
	problems [families]*Error
	// missing says why a second family that is preferred is not there.
	missing string
	// waits are what would change the decision if it were there.
	waits []awaited
}

// choice is an address, of which pool and zone; the zero value is none.
type choice struct {
	addr     netip.Addr
	pool     *pool
	audience audience
}

func (alloc *allocation) choice() choice { return choice{alloc.addr, alloc.pool, alloc.audience} }

// decide says what a Service is to have and changes nothing that anybody has. Claims are what it has by its own word.
func (a *Allocator) decide(now time.Time, r *Request, rec *record, claims [families]choice) decision {
	var d decision
	wanted := r.wanted()
	if r.Invalid != nil {
		d.choices = claims
		for _, f := range wanted {
			if alloc := rec.owned[f]; alloc != nil && a.mayKeep(alloc, r, rec) {
				d.choices[f] = alloc.choice()
			}
		}
		d.problem = r.Invalid
		return d
	}
	if len(wanted) == 0 {
		d.problem = noFamily()
		return d
	}
	if r.requiresBoth() && len(wanted) < int(families) {
		d.problem = needsTwoFamilies(wanted[0])
		return d
	}

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
		d.waits = a.waitsFor(d.waits, r, f)
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
	return d
}

// choose finds the address of one family.
func (a *Allocator) choose(now time.Time, r *Request, rec *record, f family) (choice, *Error) {
	if alloc := rec.owned[f]; alloc != nil && a.mayKeep(alloc, r, rec) {
		return alloc.choice(), nil
	}
	if wish := r.wish(f); wish.IsValid() {
		if problem := a.whyNot(wish, r, rec, a.table.owners(wish)); problem != nil {
			return choice{}, problem
		}
		p := a.poolOf(wish)
		return choice{wish, p, a.audienceOf(wish)}, nil
	}
	if t, ok := a.formerAddress(now, r, rec, f); ok {
		return t, nil
	}
	if t, ok := a.reservedAddress(r, rec, f); ok {
		return t, nil
	}
	if t, ok := a.sharedAddress(r, rec, f); ok {
		return t, nil
	}
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			if addr, ok := s.pick(now, a.table); ok {
				return choice{addr, p, forAll}, nil
			}
		}
	}
	return choice{}, a.whyNone(r, f)
}

// mayKeep reports whether a Service may keep what it has. If what matters for sharing has changed, it is the Service that
// must get on with the others; if not, the younger must get on with the older.
func (a *Allocator) mayKeep(alloc *allocation, r *Request, rec *record) bool {
	if alloc.pool == nil || !r.wants(familyOf(alloc.addr)) || !r.allows(alloc.addr, alloc.pool) || a.yields(r, alloc.addr) || a.refusal(alloc.pool, r) != "" {
		return false
	}
	changed := !r.sharesLike(&rec.request)
	for _, o := range alloc.owners {
		if o == rec {
			if !changed {
				break
			}
			continue
		}
		if sharingConflict(alloc.addr, alloc.pool, r, o) != nil {
			return false
		}
	}
	return true
}

// whyNot says why a Service that asks for an address by name cannot have it beside its owners; nil if it can. It says the same
// to a Service that is about to lose the address and to one that has lost it.
func (a *Allocator) whyNot(addr netip.Addr, r *Request, rec *record, owners []*record) *Error {
	p := a.poolOf(addr)
	if p == nil {
		return a.whyInNoPool(addr)
	}
	if r.Pool != "" && r.Pool != p.name {
		return inOtherPool(addr, r.Pool, p.name)
	}
	if why := a.refusal(p, r); why != "" {
		return poolRefuses(p.name, why)
	}
	if c, ok := a.restrictionOf(addr); ok && (c.audience == forNone || c.service != r.Service) {
		return restricted(addr, c)
	}
	for _, o := range owners {
		if o != rec {
			if problem := sharingConflict(addr, p, r, o); problem != nil {
				return problem
			}
		}
	}
	return nil
}

// formerAddress is the address that the Service had a short while ago.
func (a *Allocator) formerAddress(now time.Time, r *Request, rec *record, f family) (choice, bool) {
	alloc := rec.former[f]
	if alloc == nil || alloc.pool == nil || !alloc.reusableAt.After(now) || !a.serves(alloc.pool, r) {
		return choice{}, false
	}
	return alloc.choice(), true
}

// reservedAddress is an address that a reservation keeps for the Service: one that nobody has, or that its owners share with it.
func (a *Allocator) reservedAddress(r *Request, rec *record, f family) (choice, bool) {
	if !a.hasReservation[r.Service] {
		return choice{}, false
	}
	for _, p := range a.order {
		s := p.spaces[f]
		if s == nil || r.Pool != "" && r.Pool != p.name || a.refusal(p, r) != "" {
			continue
		}
		for _, c := range p.restrictions {
			if c.audience != forOne || c.service != r.Service || c.family() != f {
				continue
			}
			for addr := c.From; addr.IsValid() && !c.To.Less(addr); addr = s.next(addr) {
				if !s.skips(addr) && canShare(addr, p, r, rec, a.table.owners(addr)) {
					return choice{addr, p, forOne}, true
				}
			}
		}
	}
	return choice{}, false
}

// sharedAddress is an address that Services with the same sharing key have, and where there is room for one more. Of several it is
// that of the first pool, and there the lowest.
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

// mayShare reports whether a Service that does not ask for an address by name may join owners of one.
func (a *Allocator) mayShare(alloc *allocation, r *Request, rec *record, owners []*record) bool {
	f := familyOf(alloc.addr)
	if alloc.pool == nil || alloc.audience != forAll || !r.wants(f) || r.wish(f).IsValid() || !a.serves(alloc.pool, r) {
		return false
	}
	return canShare(alloc.addr, alloc.pool, r, rec, owners)
}

// canShare reports whether a Service gets on with the owners of an address.
func canShare(addr netip.Addr, p *pool, r *Request, rec *record, owners []*record) bool {
	return !slices.ContainsFunc(owners, func(o *record) bool {
		return o != rec && sharingConflict(addr, p, r, o) != nil
	})
}

// serves reports whether a Service that names no address may have one of a pool.
func (a *Allocator) serves(p *pool, r *Request) bool {
	if r.Pool == "" {
		return p.autoAssign && a.refusal(p, r) == ""
	}
	return r.Pool == p.name && a.refusal(p, r) == ""
}

// refusal is the half sentence that says why a pool does not admit a Service; empty if it does.
func (a *Allocator) refusal(p *pool, r *Request) string {
	if !p.selection.admitsNamespace(r.Service.Namespace, a.namespaces[r.Service.Namespace]) {
		return notForNamespace(r.Service.Namespace)
	}
	if !p.selection.admitsLabels(r.Labels) {
		return notForLabels
	}
	return ""
}

// waitsFor adds what a Service that misses a family waits for.
func (a *Allocator) waitsFor(list []awaited, r *Request, f family) []awaited {
	if wish := r.wish(f); wish.IsValid() {
		return append(list, awaited{addr: wish})
	}
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			list = append(list, awaited{space: s})
		}
	}
	if r.SharingKey != "" {
		list = append(list, awaited{sharingKey: sharingKey{r.SharingKey, f}})
	}
	return list
}

// whyNone says why no pool has an address for a Service that names none.
func (a *Allocator) whyNone(r *Request, f family) *Error {
	if r.Pool != "" {
		p := a.pools[r.Pool]
		switch {
		case p == nil:
			return poolUnknown(r.Pool)
		case !p.usable():
			return poolUnusable(r.Pool, p.message)
		}
		if why := a.refusal(p, r); why != "" {
			return poolRefuses(r.Pool, why)
		}
		if p.spaces[f] == nil {
			return familyMissing([]string{r.Pool}, f)
		}
		return exhausted([]string{r.Pool}, f)
	}

	var full, without []string
	for _, p := range a.order {
		if a.serves(p, r) {
			if p.spaces[f] == nil {
				without = append(without, p.name)
			} else {
				full = append(full, p.name)
			}
		}
	}
	switch {
	case len(full) > 0:
		return exhausted(full, f)
	case len(without) > 0:
		return familyMissing(without, f)
	case len(a.pools) == 0:
		return noPools()
	}
	var refusals []string
	for _, name := range sortedNames(a.pools) {
		if len(refusals) > mostNamed {
			break
		}
		p := a.pools[name]
		why := a.refusal(p, r)
		switch {
		case !p.usable():
			why = "cannot be used: " + p.message
		case why == "":
			why = onlyOnRequest
		}
		refusals = append(refusals, namePool(name)+" "+why)
	}
	return nobodyAdmits(refusals)
}

func (a *Allocator) whyInNoPool(addr netip.Addr) *Error {
	for _, name := range sortedNames(a.pools) {
		p := a.pools[name]
		if p.usable() && p.excludes(addr) {
			return excluded(addr, name)
		}
		if !p.usable() && slices.ContainsFunc(p.entries, func(e entry) bool { return e.Contains(addr) }) {
			return inUnusablePool(addr, name, p.message)
		}
	}
	return inNoPool(addr)
}
