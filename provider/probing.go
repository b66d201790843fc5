package provider

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/loadbalancer"
)

// probeTimeout is how long a Service waits for an announcer to ask the network for the address that it
// asks for by name. Then it gets it nevertheless, and the announcer that is to announce it asks.
const probeTimeout = 3 * time.Second

// probing has Services wait for an answer of the network before they are given an address that they ask
// for by name. As soon as it is in the status, kube-proxy sends what the nodes have for it to the
// Service, also if a host has it.
type probing struct {
	// settled says whether nobody will ask, or somebody has asked.
	settled func(netip.Addr) bool

	mu sync.Mutex
	// since is when Services began to wait, by their UIDs.
	since map[types.UID]time.Time
}

// wait says how long a Service, which holds some addresses, is to wait for the network; 0 if it is not.
func (p *probing) wait(request loadbalancer.Request, held []netip.Addr, now time.Time) time.Duration {
	asks := slices.ContainsFunc(request.Addresses, func(address netip.Addr) bool {
		return !slices.Contains(held, address) && !slices.Contains(request.Current, address) && !p.settled(address)
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if !asks {
		delete(p.since, request.UID)
		return 0
	}
	since, waits := p.since[request.UID]
	if !waits {
		since = now
		p.since[request.UID] = now
	}
	return max(0, since.Add(probeTimeout).Sub(now))
}

// forget has a Service that is gone wait no more.
func (p *probing) forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.since, uid)
}
