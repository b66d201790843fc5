package loadbalancer

import (
	"net/netip"
	"slices"
	"time"
)

// whyNot says why a Service that asks for an address by name cannot have it together with owners;
// nil if it can. The answer to a Service that is about to lose the address is the same as after it
// has lost it.
func (a *Allocator) whyNot(now time.Time, addr netip.Addr, r *Request, rec *record, owners []*record) *Error {
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
	if alloc := a.table.addresses[addr]; alloc != nil && alloc.keptFrom(now, r.Service.Namespace) {
		return awaitsReuse(addr, alloc.formerNamespace, alloc.reusableAt)
	}
	for _, o := range owners {
		if o != rec {
			if problem := sharingConflict(addr, p, r, o); problem != nil {
				return problem
			}
		}
	}
	if a.audienceOf(addr) == forAll && p.limits(r, rec, familyOf(addr)) && !hasNamespace(owners, r.Service.Namespace) {
		return limitReached(p, r, rec, familyOf(addr))
	}
	return nil
}

// refusal is the half sentence that says why a pool gives a Service no address; empty if it does.
func (a *Allocator) refusal(p *pool, r *Request) string {
	if p.deleting() {
		return isDeleted
	}
	if p.selection.excluded[r.Service.Namespace] {
		return excludesNamespace(r.Service.Namespace)
	}
	if !p.selection.admitsNamespace(r.Service.Namespace, a.namespaces[r.Service.Namespace]) {
		return notForNamespace(r.Service.Namespace)
	}
	if !p.selection.admitsLabels(r.Labels) {
		return notForLabels
	}
	return ""
}

// whyNone says why no pool has an address for a Service that names none.
func (a *Allocator) whyNone(r *Request, rec *record, f family) *Error {
	if r.Pool != "" {
		return a.whyNotFrom(r, rec, f)
	}
	var limiting []*pool
	var full, without []string
	for _, p := range a.order {
		switch {
		case !a.serves(p, r):
		case p.spaces[f] == nil:
			without = append(without, p.name)
		case p.limits(r, rec, f):
			limiting = append(limiting, p)
		default:
			full = append(full, p.name)
		}
	}
	switch {
	case len(limiting) > 0:
		return limitsReached(limiting, full, r, rec, f)
	case len(full) > 0:
		return exhausted(full, f)
	case len(without) > 0:
		return familyMissing(without, f)
	case len(a.pools) == 0:
		return noPools()
	}
	return nobodyAdmits(a.refusals(r))
}

// whyNotFrom says why the pool that a Service names has no address for it.
func (a *Allocator) whyNotFrom(r *Request, rec *record, f family) *Error {
	p := a.pools[r.Pool]
	switch {
	case p == nil:
		return poolUnknown(r.Pool)
	case !p.usable():
		return poolUnusable(r.Pool, p.problem.message)
	}
	if why := a.refusal(p, r); why != "" {
		return poolRefuses(r.Pool, why)
	}
	if p.spaces[f] == nil {
		return familyMissing([]string{r.Pool}, f)
	}
	if p.limits(r, rec, f) {
		return limitReached(p, r, rec, f)
	}
	return exhausted([]string{r.Pool}, f)
}

// refusals has a half sentence for each pool that does not serve a Service, for as many pools as a
// sentence names.
func (a *Allocator) refusals(r *Request) []string {
	var list []string
	for _, name := range sortedNames(a.pools) {
		if len(list) > mostNamed {
			break
		}
		p := a.pools[name]
		why := a.refusal(p, r)
		switch {
		case !p.usable():
			why = cannotBeUsed(p.problem.message)
		case why == "":
			why = onlyOnRequest
		}
		list = append(list, namePool(name)+" "+why)
	}
	return list
}

// whyInNoPool says why an address is in no pool that can be used.
func (a *Allocator) whyInNoPool(addr netip.Addr) *Error {
	for _, name := range sortedNames(a.pools) {
		p := a.pools[name]
		if p.usable() && p.excludes(addr) {
			return excluded(addr, name)
		}
		if !p.usable() && slices.ContainsFunc(p.entries, func(e entry) bool { return e.Contains(addr) }) {
			return inUnusablePool(addr, name, p.problem.message)
		}
	}
	return inNoPool(addr)
}
