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

// carving is a range that is not for everybody: somebody's own or contested by a stranger, in which case what says whose or by
// whom, or reserved by name.
type carving struct {
	Range
	zone        zone
	what        string
	contested   bool
	reservation string
	service     types.NamespacedName // if the zone is forOne
}

// SetReserved takes the full set of ranges that something other than Services uses.
func (a *Allocator) SetReserved(now time.Time, ranges []ReservedRange) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reserved = slices.DeleteFunc(slices.Clone(ranges), func(r ReservedRange) bool { return !r.Prefix.IsValid() })
	return a.carve(now)
}

// SetConflicts takes the full set of addresses for which strangers answer; of several conflicts about one address the first
// counts. Such an address is not handed out, and who has it loses it and gets another one or waits, except a Service that
// asks for that very address: it keeps it if it has it, and is refused with AddressConflict if it has not. A claim made after a
// restart is treated the same, so that conflicts that are known should be told before Restore.
func (a *Allocator) SetConflicts(now time.Time, conflicts []ConflictingAddress) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.conflicts = slices.DeleteFunc(slices.Clone(conflicts), func(c ConflictingAddress) bool { return !c.Address.IsValid() })
	return a.carve(now)
}

// SetReservations takes the full set of reservations.
func (a *Allocator) SetReservations(now time.Time, reservations []Reservation) (poke []types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.reservations = slices.Clone(reservations)
	return a.carve(now)
}

// carve makes one list of everything that is not for everybody. Where two claim one address, a stranger's comes before an own
// address, because only it is taken away from who has it, that before a reservation, and then the first one counts.
func (a *Allocator) carve(now time.Time) []types.NamespacedName {
	var carvings []carving
	a.keepsFor = map[types.NamespacedName]bool{}
	add := func(c carving) {
		for _, rest := range subtract(c.Range, carvings) {
			piece := c
			piece.Range = rest
			i := firstReaching(carvings, rest.From)
			carvings = slices.Insert(carvings, i, piece)
		}
	}
	for _, c := range a.conflicts {
		add(carving{Range: Range{c.Address, c.Address}, zone: forNone, what: c.What, contested: true})
	}
	for _, r := range a.reserved {
		if r.Prefix.IsSingleIP() {
			add(carving{Range: rangeOf(r.Prefix), zone: forNone, what: r.What})
		}
	}
	for _, r := range a.reservations {
		for _, addresses := range r.Addresses {
			c := carving{Range: addresses, zone: forNone, reservation: r.Name}
			if r.Service != nil {
				c.zone, c.service = forOne, *r.Service
				a.keepsFor[*r.Service] = true
			}
			add(c)
		}
	}
	if slices.Equal(carvings, a.carvings) {
		return nil
	}
	a.carvings = carvings
	return a.rearrange(now)
}

// carvedFrom clips the carvings to a pool.
func (a *Allocator) carvedFrom(p *pool) []carving {
	var list []carving
	for _, e := range p.effective {
		for _, c := range a.carvings[firstReaching(a.carvings, e.From):] {
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

// carvingOf is what keeps an address from being for everybody.
func (a *Allocator) carvingOf(addr netip.Addr) (carving, bool) {
	i := firstReaching(a.carvings, addr)
	if i == len(a.carvings) || !a.carvings[i].Contains(addr) {
		return carving{}, false
	}
	return a.carvings[i], true
}

func (a *Allocator) zoneOf(addr netip.Addr) zone {
	c, _ := a.carvingOf(addr)
	return c.zone
}

// yields reports whether the Service leaves an address to the stranger that answers for it, which it does unless it asks for
// that very address. What it asks for while its request is invalid nobody knows.
func (a *Allocator) yields(r *Request, addr netip.Addr) bool {
	c, ok := a.carvingOf(addr)
	return ok && c.contested && r.Invalid == nil && r.wish(familyOf(addr)) != addr
}
