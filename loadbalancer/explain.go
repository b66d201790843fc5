package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PoolVerdict is what one pool has to say to a Service about an address of one family.
type PoolVerdict struct {
	Pool   string
	Family corev1.IPFamily
	// Address is what the Service has of the pool; the zero Addr if that is nothing.
	Address netip.Addr
	// Refused is a half sentence that says why the pool gives the Service nothing: "is being deleted";
	// "" if it has an address for it.
	Refused string
}

// Explain says of every pool, in the order in which they are tried and with those that cannot be used
// last, whether it has an address for a Service that was asked for, and why not. There are none for a
// Service that the Allocator does not know. It changes nothing.
func (a *Allocator) Explain(service types.NamespacedName) (verdicts []PoolVerdict) {
	a.mu.Lock()
	defer a.mu.Unlock()

	rec := a.table.services[service]
	if rec == nil || !rec.live {
		return nil
	}
	tried := slices.Clone(a.order)
	for _, name := range sortedNames(a.pools) {
		if p := a.pools[name]; !slices.Contains(tried, p) {
			tried = append(tried, p)
		}
	}
	for _, f := range rec.request.wanted() {
		for _, p := range tried {
			v := PoolVerdict{Pool: p.name, Family: corev1.IPFamily(f.String())}
			if alloc := rec.owned[f]; alloc != nil && alloc.pool == p {
				v.Address = alloc.addr
			} else {
				v.Refused = a.whyNothingFrom(p, &rec.request, rec, f)
			}
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// whyNothingFrom is a half sentence that says why a pool gives a Service no address; "" if it has one
// for it.
func (a *Allocator) whyNothingFrom(p *pool, r *Request, rec *record, f family) string {
	wish := r.wish(f)
	switch refused := a.refusal(p, r); {
	case !p.usable():
		return cannotBeUsed(p.problem.message)
	case refused != "":
		return refused
	case r.Pool != "" && r.Pool != p.name:
		return asksForPool(r.Pool)
	case wish.IsValid() && a.poolOf(wish) != p:
		return asksForAddress(wish)
	case wish.IsValid():
		return "" // Outcome says what is wrong with this very address
	case r.Pool == "" && !p.autoAssign:
		return onlyOnRequest
	case p.spaces[f] == nil:
		return hasNone(f)
	case p.limits(r, rec, f):
		return givesNoMore(p, r.Service.Namespace, p.spaces[f].usedBeside(r, rec), f)
	case p.spaces[f].free.Len() == 0 && p.spaces[f].awaitingReuse.Len() == 0:
		return hasNoneFree(f)
	}
	return ""
}

// Use is an address that Services have, or had until a short while ago.
type Use struct {
	Address netip.Addr
	// Pool has the address; "" if none has it any more.
	Pool string
	// Services are those that have the address, the one that was there first before the others. If
	// there are none, the address awaits its reuse.
	Services []types.NamespacedName
	// ReusableAt is until when only Services of FormerNamespace may ask for an address that nobody has.
	ReusableAt      time.Time
	FormerNamespace string
}

// Uses are the addresses that Services have and those that await their reuse, sorted.
func (a *Allocator) Uses() (uses []Use) {
	a.mu.Lock()
	defer a.mu.Unlock()

	for addr, alloc := range a.table.addresses {
		use := Use{Address: addr}
		if alloc.pool != nil {
			use.Pool = alloc.pool.name
		}
		for _, o := range alloc.owners {
			use.Services = append(use.Services, o.request.Service)
		}
		if len(alloc.owners) == 0 {
			use.ReusableAt, use.FormerNamespace = alloc.reusableAt, alloc.formerNamespace
		}
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b Use) int { return a.Address.Compare(b.Address) })
	return uses
}

// ExplainAddress is a sentence about an address: who has it, or whether a Service could.
func (a *Allocator) ExplainAddress(now time.Time, addr netip.Addr) string {
	a.mu.Lock()
	defer a.mu.Unlock()

	if owners := a.table.owners(addr); len(owners) > 0 {
		return assignedTo(addr, owners)
	}
	p := a.poolOf(addr)
	if p == nil {
		return a.whyInNoPool(addr).Message
	}
	if p.deleting() {
		return poolRefuses(p.name, isDeleted).Message
	}
	if c, kept := a.restrictionOf(addr); kept {
		return restricted(addr, c).Message
	}
	if alloc := a.table.addresses[addr]; alloc != nil && alloc.reusableAt.After(now) {
		return awaitsReuse(addr, alloc.formerNamespace, alloc.reusableAt).Message
	}
	return isFree(addr, p.name)
}

// Kept are addresses of a pool that are not for everybody.
type Kept struct {
	Range
	// Sentence says for whom they are, or why they are for nobody.
	Sentence string
	// Service is for whom they are; empty if that is nobody.
	Service types.NamespacedName
	// Conflict says that another host on the network answers for the address.
	Conflict bool
}

// Kept are the addresses of a pool that are not for everybody, sorted; none if there is no such pool.
func (a *Allocator) Kept(pool string) (list []Kept) {
	a.mu.Lock()
	defer a.mu.Unlock()

	p := a.pools[pool]
	if p == nil {
		return nil
	}
	for _, c := range p.restrictions {
		list = append(list, Kept{c.Range, restricted(c.From, c).Message, c.service, c.conflict})
	}
	return list
}

// Ranges are a pool's own addresses, sorted; none if there is no such pool or it
// cannot be used.
func (a *Allocator) Ranges(pool string) (list []Range) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if p := a.pools[pool]; p != nil {
		return ranges(p.own)
	}
	return nil
}

// PoolOf is the pool that has an address; "" if none does.
func (a *Allocator) PoolOf(addr netip.Addr) string {
	a.mu.Lock()
	defer a.mu.Unlock()

	if p := a.poolOf(addr); p != nil {
		return p.name
	}
	return ""
}
