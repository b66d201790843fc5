package announced

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/loadbalancer"
)

// conflict is what announcers report about hosts that are no announcers and answer for an address.
type conflict struct {
	// macs are the hosts, and heardBy who heard them, both sorted.
	macs, heardBy []string
	// avoid says that the address is not announced because of them and not to be handed out.
	// Otherwise they were heard beside the announcer of an address in use: a Service does not lose
	// its address to the first host that claims it.
	avoid bool
}

func (c conflict) equal(d conflict) bool { return c.avoid == d.avoid && c.sameHosts(d) }

// sameHosts says whether two conflicts differ in nothing that users are told.
func (c conflict) sameHosts(d conflict) bool {
	return slices.Equal(c.macs, d.macs) && slices.Equal(c.heardBy, d.heardBy)
}

// String is a half sentence; "" without any host.
func (c conflict) String() string {
	switch len(c.macs) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the host %s on the network answers for it (heard by %s)", c.macs[0], and(c.heardBy))
	}
	return fmt.Sprintf("the hosts %s on the network answer for it (heard by %s)", and(c.macs), and(c.heardBy))
}

// collectConflicts brings together what the announcers report. Only those that are alive count:
// they ask again, and so know when a host is gone.
func (e *evaluator) collectConflicts() {
	found := map[netip.Addr]conflict{}
	for _, name := range e.alive {
		for _, report := range e.announcers[name].Status.Layer2.Conflicts {
			address, err := netip.ParseAddr(report.IP)
			if err != nil {
				continue
			}
			c := found[address]
			c.macs = append(c.macs, report.MAC)
			c.heardBy = append(c.heardBy, name+" on "+report.Interface)
			c.avoid = c.avoid || !report.InUse
			found[address] = c
		}
	}
	for address, c := range found {
		slices.Sort(c.macs)
		slices.Sort(c.heardBy)
		c.macs = slices.Compact(c.macs)
		found[address] = c
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
