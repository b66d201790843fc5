package announced

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/loadbalancer"
)

// conflict is what announcers report about hosts that are no announcers and answer for an address.
type conflict struct {
	// macs are the hosts, and heardBy who heard them, both sorted.
	macs, heardBy []string
	// several says that these are only the first of the hosts.
	several bool
	// proxy says that a host answers for every address. That says nothing of this one: it is not
	// announced, but another one would fare no better.
	proxy bool
	// avoid says that the address is not announced because of them and not to be handed out.
	// Otherwise they were heard beside the announcer of an address in use: a Service does not lose
	// its address to the first host that claims it.
	avoid bool
	// held says that the address would be avoided, had its Services not come upon too many conflicts.
	held bool
}

func (c conflict) equal(d conflict) bool {
	return c.avoid == d.avoid && c.held == d.held && c.sameHosts(d)
}

// sameHosts says whether two conflicts differ in nothing that users are told.
func (c conflict) sameHosts(d conflict) bool {
	return c.proxy == d.proxy && c.several == d.several && slices.Equal(c.macs, d.macs) && slices.Equal(c.heardBy, d.heardBy)
}

// String is a half sentence; "" without any host.
func (c conflict) String() string {
	if c.held {
		return c.hosts() + fmt.Sprintf("; after %d conflicts the Service gets another address once a minute at most", maxConflicts)
	}
	return c.hosts()
}

// sentence is String with what helps.
func (c conflict) sentence() string {
	if len(c.macs) == 0 || c.proxy {
		return c.String() // of a proxy, that says what helps
	}
	return withRemedy(c.String(), "take it from that host, or exclude it from its pool")
}

func (c conflict) hosts() string {
	switch {
	case len(c.macs) == 0:
		return ""
	case c.proxy:
		return plan.ProxySentence(and(c.macs), and(c.heardBy))
	case c.several:
		return fmt.Sprintf("several hosts on the network answer for it, or one that changes its hardware address; the first was %s (heard by %s)",
			and(c.macs), and(c.heardBy))
	case len(c.macs) == 1:
		return fmt.Sprintf("the host %s on the network answers for it (heard by %s)", c.macs[0], and(c.heardBy))
	}
	return fmt.Sprintf("the hosts %s on the network answer for it (heard by %s)", and(c.macs), and(c.heardBy))
}

// collectConflicts brings together what the announcers report. Only those that are alive count:
// they ask again, and so know when a host is gone. It returns when an address that is held will be
// avoided; zero if there is none.
func (e *evaluator) collectConflicts(now time.Time) (again time.Time) {
	found := map[netip.Addr]conflict{}
	for _, name := range e.alive {
		for _, report := range e.announcers[name].Status.Layer2.Conflicts {
			address, err := netip.ParseAddr(report.IP)
			if err != nil {
				continue
			}
			c := found[address]
			c.proxy = c.proxy || report.Proxy
			c.several = c.several || report.LastMAC != ""
			c.macs = append(c.macs, report.MAC)
			c.heardBy = append(c.heardBy, name+" on "+report.Interface)
			_, announced := e.announced[address]
			c.avoid = c.avoid || !report.InUse && !report.Proxy && !announced
			found[address] = c
		}
	}
	for address, c := range found {
		slices.Sort(c.macs)
		slices.Sort(c.heardBy)
		c.macs = slices.Compact(c.macs)
		found[address] = c
	}
	again = e.limit(found, now)
	for address, c := range found {
		if before, known := e.conflicts[address]; !known || !before.equal(c) {
			e.markAddress(address)
		}
	}
	for address := range e.conflicts {
		if _, still := found[address]; !still {
			e.markAddress(address)
		}
	}
	e.conflicts = found
	return again
}

// What limits how often a Service gets another address because of a conflict, as it limits hosts that
// look for one (RFC 5227, section 1.1).
const (
	maxConflicts      = 10
	rateLimitInterval = time.Minute
)

// attempts is how often a Service has come upon a conflict with an address that it was given, and
// when last.
type attempts struct {
	count int
	last  time.Time
}

// limit holds the addresses of Services that have come upon too many conflicts, so that they keep
// them for a while. It returns when to look again; zero if none is held.
func (e *evaluator) limit(found map[netip.Addr]conflict, now time.Time) (again time.Time) {
	for service, a := range e.attempts {
		if now.Sub(a.last) > maxConflicts*rateLimitInterval {
			delete(e.attempts, service)
		}
	}
	for _, address := range slices.SortedFunc(maps.Keys(found), netip.Addr.Compare) {
		c := found[address]
		if !c.avoid || e.conflicts[address].avoid {
			continue
		}
		services := e.view.ServicesOf(address)
		for _, s := range services {
			a := e.attempts[s.NamespacedName]
			if end := a.last.Add(rateLimitInterval); a.count >= maxConflicts && now.Before(end) {
				c.avoid, c.held = false, true
				again = plan.Earlier(again, end)
			}
		}
		found[address] = c
		if c.held {
			continue
		}
		for _, s := range services {
			e.attempts[s.NamespacedName] = attempts{e.attempts[s.NamespacedName].count + 1, now}
		}
	}
	return again
}

// conflictingAddresses is what the allocator is told, in a stable order.
func conflictingAddresses(conflicts map[netip.Addr]conflict) []loadbalancer.ConflictingAddress {
	var list []loadbalancer.ConflictingAddress
	for _, address := range slices.SortedFunc(maps.Keys(conflicts), netip.Addr.Compare) {
		if conflicts[address].avoid {
			list = append(list, loadbalancer.ConflictingAddress{Address: address, What: conflicts[address].String()})
		}
	}
	return list
}
