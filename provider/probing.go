package provider

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/loadbalancer"
)

// probeTimeout is how long a Service waits for an announcer to ask the network for the address that it
// asks for by name. Then it gets it nevertheless, and the announcer that is to announce it asks.
const probeTimeout = 3 * time.Second

// probing has Services wait for an answer of the network before they are given an address that they ask
// for by name. As soon as it is in the status, kube-proxy sends what the nodes have for it to the
// Service, also if a host has it.
type probing struct {
	*patience
	// settled says whether nobody will ask, or somebody has asked.
	settled func(netip.Addr) bool
}

// wait says how long a Service, which holds some addresses, is to wait for the network; 0 if it is not.
func (p *probing) wait(request loadbalancer.Request, held []netip.Addr, now time.Time) time.Duration {
	asks := slices.ContainsFunc(request.Addresses, func(address netip.Addr) bool {
		return !slices.Contains(held, address) && !slices.Contains(request.Current, address) && !p.settled(address)
	})
	if !asks {
		p.forget(request.UID)
		return 0
	}
	return p.left(request.UID, now)
}
