package layer2

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
)

// Set tells for which addresses to answer, and on which interfaces by name: all of them, every time. What is new is
// announced, what is missing goes silent at once, the rest stays undisturbed. Interfaces need not exist yet.
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

// Reannounce announces addresses once more, as if they were new. Those for which the responder was not Set to answer are passed
// over.
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

// Quiesce has addresses not announced any more, but still answered for, until they are Set anew or announced Again: another node
// has announced them, and who has heard that one is not to hear this one after it.
func (r *Responder) Quiesce(addresses ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := range r.owned {
		for _, addr := range addresses {
			if p := r.perIface[at]; p != nil && r.owned[at][addr] {
				p.quiesce(addr)
			}
		}
	}
}

// Proxied is how to answer for an address that another node has.
type Proxied struct {
	// Interfaces to answer on, by name.
	Interfaces []string
	// MAC is where the other node has the address: the hardware address to answer with.
	MAC net.HardwareAddr
}

// SetProxied tells for which addresses of other nodes to answer: all of them, every time. They are not announced, and what is sent
// for them leaves from this node's own hardware address, so that no switch takes it for the other node. An address that the
// responder is also Set to answer for is its own.
func (r *Responder) SetProxied(addresses map[netip.Addr]Proxied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, cared := range r.proxied {
		for addr := range cared {
			if c := addresses[addr]; isUnicast(c.MAC) && slices.Contains(c.Interfaces, at.ifi) {
				continue
			}
			delete(cared, addr)
			if !r.owned[at][addr] {
				r.remove(at, addr)
			}
		}
		if len(cared) == 0 {
			delete(r.proxied, at)
		}
	}
	for addr, c := range addresses {
		if !isUnicast(c.MAC) {
			continue
		}
		for _, name := range c.Interfaces {
			at := ifaceProtocol{name, protocolOf(addr)}
			if bytes.Equal(r.proxied[at][addr], c.MAC) {
				continue
			}
			if r.proxied[at] == nil {
				r.proxied[at] = map[netip.Addr]net.HardwareAddr{}
			}
			r.proxied[at][addr] = c.MAC
			if !r.owned[at][addr] {
				r.put(at, addr, c.MAC)
			}
		}
	}
	r.wake.Notify()
}

// put and remove pass on to the port of a place, if it has one, what it is to answer for.
func (r *Responder) put(at ifaceProtocol, addr netip.Addr, owner net.HardwareAddr) {
	if p := r.perIface[at]; p != nil {
		p.put(addr, owner)
	}
}

func (r *Responder) remove(at ifaceProtocol, addr netip.Addr) {
	if p := r.perIface[at]; p != nil {
		p.remove(addr)
	}
}
