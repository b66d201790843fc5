package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// decision is what a Service is to have.
type decision struct {
	take [families]taken
	// problem is why it is to have nothing, or nothing new.
	problem *Error
	// told is what is wrong with each family.
	told [families]*Error
	// missing says why a second family that is preferred is not there.
	missing string
	// waits are what would change the decision if it were there.
	waits []want
}

// taken is an address, of which pool and zone; the zero value is none.
type taken struct {
	addr netip.Addr
	pool *pool
	zone zone
}

func (h *holding) taken() taken { return taken{h.addr, h.pool, h.zone} }

// decide says what a Service is to have and changes nothing that anybody has. Claims are what it has by its own word.
func (a *Allocator) decide(now time.Time, r *Request, rec *record, claims [families]taken) decision {
	var d decision
	wanted := r.wanted()
	if r.Invalid != nil {
		d.take = claims
		for _, f := range wanted {
			if h := rec.held[f]; h != nil && a.stands(h, r, rec) {
				d.take[f] = h.taken()
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
			d.take[f] = claims[f]
		} else {
			d.take[f], d.told[f] = a.choose(now, r, rec, f)
		}
		served = served || d.told[f] == nil
	}
	for _, f := range wanted {
		if d.told[f] == nil {
			continue
		}
		d.waits = a.wants(d.waits, r, f)
		if r.requiresBoth() {
			d.take, d.problem = [families]taken{}, d.told[f]
			return d
		}
		if served {
			d.missing = withoutFamily(f, d.told[f])
		} else if d.problem == nil {
			d.problem = d.told[f]
		}
	}
	return d
}

// choose finds the address of one family.
func (a *Allocator) choose(now time.Time, r *Request, rec *record, f family) (taken, *Error) {
	if h := rec.held[f]; h != nil && a.stands(h, r, rec) {
		return h.taken(), nil
	}
	if wish := r.wish(f); wish.IsValid() {
		if problem := a.grant(wish, r, rec, a.table.owners(wish)); problem != nil {
			return taken{}, problem
		}
		p := a.poolOf(wish)
		return taken{wish, p, a.zoneOf(wish)}, nil
	}
	if t, ok := a.former(now, r, rec, f); ok {
		return t, nil
	}
	if t, ok := a.kept(r, rec, f); ok {
		return t, nil
	}
	if t, ok := a.beside(r, rec, f); ok {
		return t, nil
	}
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			if addr, ok := s.pick(now, a.table); ok {
				return taken{addr, p, forAll}, nil
			}
		}
	}
	return taken{}, a.whyNone(r, f)
}

// stands reports whether a Service may keep what it has. If what matters for sharing has changed, it is the Service that
// must get on with the others; if not, the younger must get on with the older.
func (a *Allocator) stands(h *holding, r *Request, rec *record) bool {
	if h.pool == nil || !r.wants(familyOf(h.addr)) || !r.allows(h.addr, h.pool) || a.yields(r, h.addr) || a.refusal(h.pool, r) != "" {
		return false
	}
	changed := !r.sharesLike(&rec.request)
	for _, o := range h.owners {
		if o == rec {
			if !changed {
				break
			}
			continue
		}
		if misfit(h.addr, h.pool, r, o) != nil {
			return false
		}
	}
	return true
}

// grant says why a Service that asks for an address by name cannot have it beside its owners; nil if it can. It says the same
// to a Service that is about to lose the address and to one that has lost it.
func (a *Allocator) grant(addr netip.Addr, r *Request, rec *record, owners []*record) *Error {
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
	if c, ok := a.carvingOf(addr); ok && (c.zone == forNone || c.service != r.Service) {
		return reservedBy(addr, c)
	}
	for _, o := range owners {
		if o != rec {
			if problem := misfit(addr, p, r, o); problem != nil {
				return problem
			}
		}
	}
	return nil
}

// former is the address that the Service had a short while ago.
func (a *Allocator) former(now time.Time, r *Request, rec *record, f family) (taken, bool) {
	h := rec.rests[f]
	if h == nil || h.pool == nil || !h.restsUntil.After(now) || !a.serves(h.pool, r) {
		return taken{}, false
	}
	return h.taken(), true
}

// kept is an address that a reservation keeps for the Service: one that nobody has, or that its owners share with it.
func (a *Allocator) kept(r *Request, rec *record, f family) (taken, bool) {
	if !a.keepsFor[r.Service] {
		return taken{}, false
	}
	for _, p := range a.order {
		s := p.spaces[f]
		if s == nil || r.Pool != "" && r.Pool != p.name || a.refusal(p, r) != "" {
			continue
		}
		for _, c := range p.carved {
			if c.zone != forOne || c.service != r.Service || c.family() != f {
				continue
			}
			for addr := c.From; addr.IsValid() && !c.To.Less(addr); addr = s.next(addr) {
				if !s.skips(addr) && suits(addr, p, r, rec, a.table.owners(addr)) {
					return taken{addr, p, forOne}, true
				}
			}
		}
	}
	return taken{}, false
}

// beside is an address that Services with the same sharing key have, and where there is room for one more. Of several it is
// that of the first pool, and there the lowest.
func (a *Allocator) beside(r *Request, rec *record, f family) (taken, bool) {
	g := a.table.shared[r.SharingKey]
	if g == nil || g.holdings[f] == 0 || g.full(f, r.Ports) {
		return taken{}, false
	}
	var best *holding
	for h := range g.owners {
		if familyOf(h.addr) != f || h.pool == nil {
			continue
		}
		if best != nil && cmp.Or(cmp.Compare(h.pool.rank, best.pool.rank), h.addr.Compare(best.addr)) > 0 {
			continue
		}
		if a.fitsIn(h, r, rec, h.owners) {
			best = h
		}
	}
	if best == nil {
		return taken{}, false
	}
	return best.taken(), true
}

// fitsIn reports whether a Service that does not ask for an address by name may join owners of one.
func (a *Allocator) fitsIn(h *holding, r *Request, rec *record, owners []*record) bool {
	f := familyOf(h.addr)
	if h.pool == nil || h.zone != forAll || !r.wants(f) || r.wish(f).IsValid() || !a.serves(h.pool, r) {
		return false
	}
	return suits(h.addr, h.pool, r, rec, owners)
}

// suits reports whether a Service gets on with the owners of an address.
func suits(addr netip.Addr, p *pool, r *Request, rec *record, owners []*record) bool {
	return !slices.ContainsFunc(owners, func(o *record) bool {
		return o != rec && misfit(addr, p, r, o) != nil
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

// wants adds what a Service that misses a family waits for.
func (a *Allocator) wants(list []want, r *Request, f family) []want {
	if wish := r.wish(f); wish.IsValid() {
		return append(list, want{addr: wish})
	}
	for _, p := range a.order {
		if s := p.spaces[f]; s != nil && a.serves(p, r) {
			list = append(list, want{space: s})
		}
	}
	if r.SharingKey != "" {
		list = append(list, want{room: room{r.SharingKey, f}})
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
