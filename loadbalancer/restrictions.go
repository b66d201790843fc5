package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ReservedRange is a range that something else uses than the Services that ask the Allocator. A
// single address, a node's own for example, is not handed out; a Service that has it already keeps
// it, and is told. A wider range, the cluster's Service CIDR for example, is handed out all the
// same, but the pools that overlap it say so. Of several about one address the first counts.
type ReservedRange struct {
	Prefix netip.Prefix
	// What the range is, as it goes into a sentence: `the address of node "n1"`.
	What string
	// Service is the Service that uses the address; empty if that is none. It may ask for the
	// address itself.
	Service types.NamespacedName
}

// Clash is an address that a Service has although something else uses it too.
type Clash struct {
	Address netip.Addr
	// Sentence says what uses it.
	Sentence string
	// Service is the Service that uses it; empty if that is none.
	Service types.NamespacedName
}

// ConflictingAddress is an address that a host on the network answers for which is none of the nodes.
type ConflictingAddress struct {
	Address netip.Addr
	// What is a half sentence that says which host, and which node heard it: "the host
	// 52:54:00:12:34:56 on the network answers for it (heard by node-1)".
	What string
}

// Reservation keeps addresses for one Service, whether it exists or not, or for nobody. It says who
// may get an address, not who may keep one: a Service that has the address already keeps it. Of
// reservations that overlap the first one counts.
type Reservation struct {
	Name      string
	Addresses []Range
	Service   *types.NamespacedName // nil: nobody
}

// restriction says for whom a range is, if it is not for everybody, and why.
type restriction struct {
	Range
	audience audience
	service  types.NamespacedName // if audience is forOne

	// One of three is the reason: a conflict, with what it is; a reserved range, with what it is; a
	// reservation.
	conflict    bool
	what        string
	reservation string
}

// SetReserved takes the full set of reserved ranges and returns the Services to requeue.
func (a *Allocator) SetReserved(now time.Time, ranges []ReservedRange) (requeue []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reserved = slices.DeleteFunc(slices.Clone(ranges), func(r ReservedRange) bool { return !r.Prefix.IsValid() })
	// In this order each restriction comes after those before it, and none has to be moved.
	slices.SortStableFunc(a.reserved, func(r, s ReservedRange) int { return r.Prefix.Addr().Compare(s.Prefix.Addr()) })
	return a.rebuildRestrictions(now)
}

// SetConflicts takes the full set of conflicting addresses and returns the Services to requeue. Of
// several conflicts about one address the first counts.
//
// Such an address is not handed out. A Service that has it loses it, and gets another one or waits.
// But a Service that asks for this very address keeps it if it has it, and is refused with
// AddressConflict if it does not. The same holds for addresses that Services claim by their status,
// so SetConflicts should come before Restore.
func (a *Allocator) SetConflicts(now time.Time, conflicts []ConflictingAddress) (requeue []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.conflicts = slices.DeleteFunc(slices.Clone(conflicts), func(c ConflictingAddress) bool {
		return !c.Address.IsValid()
	})
	return a.rebuildRestrictions(now)
}

// SetReservations takes the full set of reservations and returns the Services to requeue.
func (a *Allocator) SetReservations(now time.Time, reservations []Reservation) (requeue []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reservations = slices.Clone(reservations)
	return a.rebuildRestrictions(now)
}

// rebuildRestrictions makes one list of everything that is not for everybody. If several apply to
// one address, a conflict comes first, because nothing else takes the address away from a Service
// that has it. Then come the addresses of nodes, and then the reservations in their order.
func (a *Allocator) rebuildRestrictions(now time.Time) []types.NamespacedName {
	var list []restriction
	a.hasReservation = map[types.NamespacedName]bool{}
	add := func(c restriction) {
		for _, rest := range subtract(c.Range, list) {
			piece := c
			piece.Range = rest
			list = slices.Insert(list, firstReaching(list, rest.From), piece)
		}
	}
	for _, c := range a.conflicts {
		add(restriction{Range: Range{c.Address, c.Address}, audience: forNone, what: c.What, conflict: true})
	}
	for _, r := range a.reserved {
		if r.Prefix.IsSingleIP() {
			c := restriction{Range: RangeOf(r.Prefix), audience: forNone, what: r.What}
			if r.Service != (types.NamespacedName{}) {
				c.audience, c.service = forOne, r.Service
			}
			add(c)
		}
	}
	for _, r := range a.reservations {
		for _, addresses := range r.Addresses {
			c := restriction{Range: addresses, audience: forNone, reservation: r.Name}
			if r.Service != nil {
				c.audience, c.service = forOne, *r.Service
				a.hasReservation[*r.Service] = true
			}
			add(c)
		}
	}
	if slices.Equal(list, a.restrictions) {
		return nil
	}
	a.restrictions = list
	return a.rebuildPools(now)
}

// restrictionsOf are the restrictions of a pool's own addresses, clipped to them.
func (a *Allocator) restrictionsOf(p *pool) []restriction {
	var list []restriction
	for _, e := range p.own {
		for _, c := range a.restrictions[firstReaching(a.restrictions, e.From):] {
			r, ok := c.intersect(e.Range)
			if !ok {
				break
			}
			c.Range = r
			list = append(list, c)
		}
	}
	return list
}

// restrictionOf is the restriction of an address; false if the address is for everybody.
func (a *Allocator) restrictionOf(addr netip.Addr) (restriction, bool) {
	i := firstReaching(a.restrictions, addr)
	if i == len(a.restrictions) || !a.restrictions[i].Contains(addr) {
		return restriction{}, false
	}
	return a.restrictions[i], true
}

func (a *Allocator) audienceOf(addr netip.Addr) audience {
	c, _ := a.restrictionOf(addr)
	return c.audience
}

// clashes are the addresses of a Service that something else uses too.
func (a *Allocator) clashes(rec *record) (list []Clash) {
	for _, addr := range rec.addresses() {
		if c, ok := a.restrictionOf(addr); ok && c.what != "" && !c.conflict && c.service != rec.request.Service {
			list = append(list, Clash{addr, keptAlthough(addr, c.what), c.service})
		}
	}
	return list
}

// yields reports whether a Service gives up an address because of a conflict. It does unless it
// asks for this very address. While its request is invalid it keeps the address, for nobody knows
// what it asks for.
func (a *Allocator) yields(r *Request, addr netip.Addr) bool {
	c, ok := a.restrictionOf(addr)
	return ok && c.conflict && r.Invalid == nil && r.wish(familyOf(addr)) != addr
}
