package loadbalancer

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ReservedRange is a range that something other than Services uses. A single address is somebody's own, a node's for
// example, and is not handed out. A wider range (the cluster's Service CIDR, say) is only reported by the pools that overlap
// it. What says what it is, as it goes into a sentence: `the address of node "n1"`.
type ReservedRange struct {
	Prefix netip.Prefix
	What   string
}

// ConflictingAddress is an address for which a stranger on the network answers: neither a node nor any Service of ours. What is
// a half sentence that says who and by whom it was heard: "the host 52:54:00:12:34:56 on the network answers for it (heard by
// node-1)".
type ConflictingAddress struct {
	Address netip.Addr
	What    string
}

// Reservation keeps addresses for one Service, whether it exists or not, or for nobody. It says who may get an address, not
// who may keep one: a Service that has it already stays. Of reservations that overlap the first one counts.
type Reservation struct {
	Name      string
	Addresses []Range
	Service   *types.NamespacedName // nil: nobody
}

// restriction is a range that is not for everybody: somebody's own or contested by a stranger, in which case what says whose or by
// whom, or reserved by name.
type restriction struct {
	Range
	audience    audience
	what        string
	conflict    bool
	reservation string
	service     types.NamespacedName // if the zone is forOne
}

// SetReserved takes the full set of ranges that something other than Services uses.
func (a *Allocator) SetReserved(now time.Time, ranges []ReservedRange) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reserved = slices.DeleteFunc(slices.Clone(ranges), func(r ReservedRange) bool { return !r.Prefix.IsValid() })
	return a.rebuildRestrictions(now)
}

// SetConflicts takes the full set of addresses for which strangers answer; of several conflicts about one address the first
// counts. Such an address is not handed out, and who has it loses it and gets another one or waits, except a Service that
// asks for that very address: it keeps it if it has it, and is refused with AddressConflict if it has not. A claim made after a
// restart is treated the same, so that conflicts that are known should be told before Restore.
func (a *Allocator) SetConflicts(now time.Time, conflicts []ConflictingAddress) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.conflicts = slices.DeleteFunc(slices.Clone(conflicts), func(c ConflictingAddress) bool { return !c.Address.IsValid() })
	return a.rebuildRestrictions(now)
}

// SetReservations takes the full set of reservations.
func (a *Allocator) SetReservations(now time.Time, reservations []Reservation) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reservations = slices.Clone(reservations)
	return a.rebuildRestrictions(now)
}

// rebuildRestrictions makes one list of everything that is not for everybody. Where two claim one address, a stranger's comes before an own
// address, because only it is taken away from who has it, that before a reservation, and then the first one counts.
func (a *Allocator) rebuildRestrictions(now time.Time) []types.NamespacedName {
	var carvings []restriction
	a.hasReservation = map[types.NamespacedName]bool{}
	add := func(c restriction) {
		for _, rest := range subtract(c.Range, carvings) {
			piece := c
			piece.Range = rest
			i := firstReaching(carvings, rest.From)
			carvings = slices.Insert(carvings, i, piece)
		}
	}
	for _, c := range a.conflicts {
		add(restriction{Range: Range{c.Address, c.Address}, audience: forNone, what: c.What, conflict: true})
	}
	for _, r := range a.reserved {
		if r.Prefix.IsSingleIP() {
			add(restriction{Range: rangeOf(r.Prefix), audience: forNone, what: r.What})
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
	if slices.Equal(carvings, a.restrictions) {
		return nil
	}
	a.restrictions = carvings
	return a.rebuildPools(now)
}

// restrictionsOf clips the carvings to a pool.
func (a *Allocator) restrictionsOf(p *pool) []restriction {
	var list []restriction
	for _, e := range p.effective {
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

// restrictionOf is what keeps an address from being for everybody.
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

// yields reports whether the Service leaves an address to the stranger that answers for it, which it does unless it asks for
// that very address. What it asks for while its request is invalid nobody knows.
func (a *Allocator) yields(r *Request, addr netip.Addr) bool {
	c, ok := a.restrictionOf(addr)
	return ok && c.conflict && r.Invalid == nil && r.wish(familyOf(addr)) != addr
}
