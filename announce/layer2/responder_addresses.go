package layer2

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
)

// Set says which addresses this node owns, and on which interfaces to answer for them, by name.
// Each call names all of them. New ones are announced, missing ones are no longer answered for from
// that moment, and nothing changes for the others. An interface need not exist yet.
func (r *Responder) Set(addresses map[netip.Addr][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, owned := range r.owned {
		for addr := range owned {
			if slices.Contains(addresses[addr], at.ifi) {
				continue
			}
			delete(owned, addr)
			if owner := r.proxied[at][addr]; owner != nil {
				r.put(at, addr, owner)
			} else {
				r.remove(at, addr)
			}
		}
		if len(owned) == 0 {
			delete(r.owned, at)
		}
	}
	for addr, names := range addresses {
		for _, name := range names {
			at := ifaceProtocol{name, protocolOf(addr)}
			if r.owned[at][addr] {
				continue
			}
			if r.owned[at] == nil {
				r.owned[at] = map[netip.Addr]bool{}
			}
			r.owned[at][addr] = true
			r.put(at, addr, nil)
		}
	}
	r.wake.Notify()
}

// Reannounce announces addresses again, as if they were new. It ignores those that this node does
// not own.
func (r *Responder) Reannounce(addresses ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, owned := range r.owned {
		for _, addr := range addresses {
			if owned[addr] {
				r.put(at, addr, nil)
			}
		}
	}
}

// Quiesce ends the announcements of addresses. They are still answered for. Reannounce ends that
// state, and so does Set once the address was missing from it. It is for an address that another
// node has announced meanwhile: a client that has heard that node must not hear this one after it.
func (r *Responder) Quiesce(addresses ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := range r.owned {
		for _, addr := range addresses {
			if ir := r.running[at]; ir != nil && r.owned[at][addr] {
				ir.quiesce(addr)
			}
		}
	}
}

// Proxied is how to answer for an address that another node owns.
type Proxied struct {
	// Interfaces to answer on, by name.
	Interfaces []string
	// MAC is the owner's hardware address, which the replies carry. Without a unicast one, the
	// address is not answered for.
	MAC net.HardwareAddr
}

// SetProxied says for which addresses of other nodes to answer. Each call names all of them. They
// are not announced. The frames of the replies come from this node's own hardware address, so that
// no switch takes it for the owner. An address that this node owns by Set is not proxied.
func (r *Responder) SetProxied(addresses map[netip.Addr]Proxied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, proxied := range r.proxied {
		for addr := range proxied {
			if p := addresses[addr]; isUnicast(p.MAC) && slices.Contains(p.Interfaces, at.ifi) {
				continue
			}
			delete(proxied, addr)
			if !r.owned[at][addr] {
				r.remove(at, addr)
			}
		}
		if len(proxied) == 0 {
			delete(r.proxied, at)
		}
	}
	for addr, p := range addresses {
		if !isUnicast(p.MAC) {
			continue
		}
		for _, name := range p.Interfaces {
			at := ifaceProtocol{name, protocolOf(addr)}
			if bytes.Equal(r.proxied[at][addr], p.MAC) {
				continue
			}
			if r.proxied[at] == nil {
				r.proxied[at] = map[netip.Addr]net.HardwareAddr{}
			}
			r.proxied[at][addr] = p.MAC
			if !r.owned[at][addr] {
				r.put(at, addr, p.MAC)
			}
		}
	}
	r.wake.Notify()
}

// put and remove pass a change on to the ifaceResponder, if one runs there.
func (r *Responder) put(at ifaceProtocol, addr netip.Addr, owner net.HardwareAddr) {
	if ir := r.running[at]; ir != nil {
		ir.put(addr, owner)
	}
}

func (r *Responder) remove(at ifaceProtocol, addr netip.Addr) {
	if ir := r.running[at]; ir != nil {
		ir.remove(addr)
	}
}
