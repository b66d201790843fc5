package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

const (
	// conflictRetry is how long an address that a conflicting host has is left alone before it is
	// probed again.
	conflictRetry = time.Minute
	// conflictExpiry is how long a conflicting host that was heard beside this node's own
	// announcements is reported after it was last heard.
	conflictExpiry = 5 * time.Minute
	// lastMACInterval is the shortest time between two changes of what is recorded of a conflict that
	// goes on. They come at the same times for all conflicts, so that they are one write.
	lastMACInterval = time.Minute
	// maxConflicts bounds how many are known. If there are more, the one that was heard longest ago is
	// forgotten; its address is then probed again before anybody announces it.
	maxConflicts = 1000
)

// ConflictingHost is a host that answers for an address and is none of the announcers.
type ConflictingHost struct {
	Interface string
	MAC       string
	// Proxy says that the host answers for addresses that it cannot all have (proxy ARP, RFC 1027).
	// Nobody can tell then whether another host has the address.
	Proxy bool
}

// Conflict is an address for which conflicting hosts answer (RFC 5227, section 2.4). It is one
// however many they are: a host may claim an address from ever new hardware addresses.
type Conflict struct {
	Address netip.Addr
	// ConflictingHost is the first of them.
	ConflictingHost
	// LastMAC is the hardware address that was heard last, as of the last change; "" as long as there
	// is one alone.
	LastMAC string
	Since   time.Time
	// InUse says that the node announced the address when the host was heard, and goes on to do so.
	InUse bool
	// next is when to probe again or, if InUse, to forget the host.
	next time.Time
	// heard is the hardware address that was heard last, and updateAt when LastMAC may change again.
	heard    string
	updateAt time.Time
}

// conflicts are those that the node knows of, by address. They outlive the node's claims: what made
// the allocator give the Service another address must stay known.
type conflicts map[netip.Addr]*Conflict

// resume takes up conflicts that the node has recorded.
func (c conflicts) resume(recorded []Conflict, now time.Time) {
	for _, conflict := range recorded {
		conflict.next = now
		c[conflict.Address] = &conflict
	}
}

// note takes note of a host that answers for an address. It returns the conflict, and whether that
// is news: another host is none.
func (c conflicts) note(ip netip.Addr, host ConflictingHost, inUse bool, now time.Time) (_ Conflict, news bool) {
	known := c[ip]
	if known == nil || known.Proxy != host.Proxy || known.InUse != inUse {
		c.makeRoom(ip)
		known, news = &Conflict{Address: ip, ConflictingHost: host, Since: now, InUse: inUse}, true
		c[ip] = known
	}
	known.heard = host.MAC
	known.next = now.Add(conflictRetry)
	if inUse {
		known.next = now.Add(conflictExpiry)
	}
	return *known, news
}

// makeRoom forgets a conflict if there is no room for one more.
func (c conflicts) makeRoom(ip netip.Addr) {
	if c[ip] != nil || len(c) < maxConflicts {
		return
	}
	var oldest *Conflict
	for _, conflict := range c {
		if oldest == nil || conflict.next.Before(oldest.next) {
			oldest = conflict
		}
	}
	delete(c, oldest.Address)
}

// resolve forgets the host that kept the node from announcing an address: it does not answer any
// more. It returns whether there was one.
func (c conflicts) resolve(ip netip.Addr) bool {
	if known := c[ip]; known == nil || known.InUse {
		return false
	}
	delete(c, ip)
	return true
}

// plan adds what to probe: the tentative addresses of the node, and those whose conflict may be over.
func (c conflicts) plan(s *step, own *claims) {
	for ip, o := range own.owned {
		switch {
		case o.tentative == nil || c[ip] != nil:
		case !o.tentative.clear:
			s.try(ip, func() { s.plan.Probes[ip] = s.interfacesFor(ip) })
		default:
			s.wake(o.tentative.until)
		}
	}
	for ip, conflict := range c {
		s.try(ip, func() { c.planOne(s, ip, conflict) })
	}
}

// planOne forgets a conflict that is over, or adds what to probe to find out.
func (c conflicts) planOne(s *step, ip netip.Addr, conflict *Conflict) {
	conflict.update(s)
	switch {
	case !conflict.InUse && s.unprobed(ip), conflict.Proxy && len(s.view.byAddress[ip])+len(s.view.wished[ip]) == 0:
		delete(c, ip)
		s.plan.Changed = true
	case conflict.next.After(s.now):
		s.wake(conflict.next)
	case conflict.InUse:
		delete(c, ip)
		s.plan.Changed = true
	default:
		s.plan.Probes[ip] = s.interfacesToProbe(conflict)
	}
}

// update has the hardware address recorded that was heard last, if that may be done now.
func (c *Conflict) update(s *step) {
	switch {
	case c.heard == "" || c.heard == cmp.Or(c.LastMAC, c.MAC):
	case s.now.Before(c.updateAt):
		s.wake(c.updateAt)
	default:
		c.LastMAC, c.updateAt = c.heard, s.now.Truncate(lastMACInterval).Add(lastMACInterval)
		s.plan.Changed = true
	}
}

// unprobed says whether an L2Advertisement has an address announced without asking for it.
func (e *electorate) unprobed(ip netip.Addr) bool {
	requests, _ := e.requests(ip)
	return slices.ContainsFunc(requests, func(r announceRequest) bool { return e.advertisements[r.advertisement].unprobed })
}

// interfacesToProbe are where to find out whether a conflict is over: where the address would be
// announced now or, if no Service has it, where the host was heard.
func (e *electorate) interfacesToProbe(c *Conflict) []string {
	requests, _ := e.requests(c.Address)
	if names := e.interfacesOf(c.Address, e.interfaces, requests); len(names) > 0 {
		return names
	}
	return []string{c.Interface}
}

// status is what the node records of conflicts.
func (c conflicts) status() (all []v1alpha1.Layer2Conflict) {
	for _, ip := range slices.SortedFunc(maps.Keys(c), netip.Addr.Compare) {
		all = append(all, c[ip].write())
	}
	return all
}

func (c *Conflict) write() v1alpha1.Layer2Conflict {
	return v1alpha1.Layer2Conflict{
		IP:        c.Address.String(),
		Interface: c.Interface,
		MAC:       c.MAC,
		LastMAC:   c.LastMAC,
		Since:     metav1.NewTime(c.Since.Truncate(time.Second)),
		InUse:     c.InUse,
		Proxy:     c.Proxy,
	}
}

func readConflict(c v1alpha1.Layer2Conflict) (Conflict, bool) {
	ip, err := netip.ParseAddr(c.IP)
	return Conflict{
		Address: ip, ConflictingHost: ConflictingHost{c.Interface, c.MAC, c.Proxy}, LastMAC: c.LastMAC,
		Since: c.Since.Time, InUse: c.InUse,
	}, err == nil
}
