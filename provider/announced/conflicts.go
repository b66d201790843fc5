package provider

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/loadbalancer"
)

// contest is that strangers, who are no announcers, answer for an address.
type contest struct {
	// who is a half sentence about them; "" without any.
	who string
	// avoid says that the address is not announced because of them and not to be handed out. Otherwise they were heard beside
	// the announcer of an address in use: a Service does not lose its address to the first host that claims it.
	avoid bool
}

// rumour is what several announcers have heard about an address.
type rumour struct {
	macs, heardBy []string
	avoid         bool
}

func (r *rumour) String() string {
	macs, heardBy := slices.Compact(slices.Sorted(slices.Values(r.macs))), slices.Sorted(slices.Values(r.heardBy))
	if len(macs) == 1 {
		return fmt.Sprintf("the host %s on the network answers for it (heard by %s)", macs[0], and(heardBy))
	}
	return fmt.Sprintf("the hosts %s on the network answer for it (heard by %s)", and(macs), and(heardBy))
}

// listen collects of which strangers the announcers have heard. Only those that are alive count: they ask again, and so know
// when a stranger is gone.
func (o *observer) listen() {
	heard := map[netip.Addr]*rumour{}
	for _, name := range o.alive {
		for _, conflict := range o.announcers[name].Status.Layer2.Conflicts {
			address, err := netip.ParseAddr(conflict.IP)
			if err != nil {
				continue
			}
			r := heard[address]
			if r == nil {
				r = &rumour{}
				heard[address] = r
			}
			r.macs = append(r.macs, conflict.MAC)
			r.heardBy = append(r.heardBy, name+" on "+conflict.Interface)
			r.avoid = r.avoid || !conflict.InUse
		}
	}
	contested := map[netip.Addr]contest{}
	for address, r := range heard {
		contested[address] = contest{r.String(), r.avoid}
		if o.contested[address] != contested[address] {
			o.markAddress(address)
		}
	}
	for address := range o.contested {
		if _, still := contested[address]; !still {
			o.markAddress(address)
		}
	}
	o.contested = contested
}

// contestedAddresses is what the allocator is told, in a stable order.
func contestedAddresses(contested map[netip.Addr]contest) []loadbalancer.ConflictingAddress {
	var list []loadbalancer.ConflictingAddress
	for _, address := range slices.SortedFunc(maps.Keys(contested), netip.Addr.Compare) {
		if contested[address].avoid {
			list = append(list, loadbalancer.ConflictingAddress{Address: address, What: contested[address].who})
		}
	}
	return list
}
