package plan

import (
	"net/netip"
	"time"
)

// proxyLinger is how long a member whose announcer was down is still answered for after that has
// come back: it takes a moment to answer itself.
const proxyLinger = 2 * time.Second

// proxies are the members in whose place this node answers where it is the next to have an address
// (proxy ARP, RFC 1027, and its like for IPv6). The answers carry the member's hardware address,
// not this node's.
type proxies struct {
	// until has for how long: zero while the announcer is down.
	until map[string]time.Time
}

// plan adds what this node answers for in the place of others.
func (p *proxies) plan(s *step) {
	for name, state := range s.live.states {
		if state == AnnouncerDown {
			p.until[name] = time.Time{}
			s.proxyFor(name)
		}
	}
	for name, until := range p.until {
		state, outOfSight := s.live.states[name]
		if state == AnnouncerDown {
			continue
		}
		if until.IsZero() {
			until = s.now.Add(proxyLinger)
			p.until[name] = until
		}
		if outOfSight || !s.now.Before(until) {
			delete(p.until, name)
			continue
		}
		s.proxyFor(name)
		s.wake(until)
	}
}

// proxyFor adds the addresses of a member for which this node is to answer: the one that would be
// next to have them.
func (s *step) proxyFor(name string) {
	a := s.view.announcers[name]
	if a == nil {
		return
	}
	for ip, c := range a.claims {
		if s.try(ip, func() { s.proxyAddress(name, a, ip, c) }) {
			continue
		}
		if before, proxied := s.proxied[ip]; proxied {
			s.plan.Proxied[ip] = before
		}
	}
}

func (s *step) proxyAddress(name string, a *announcer, ip netip.Addr, c recordedClaim) {
	if c.Tentative || s.round.Decision(ip).Owner != name || s.round.Successor(ip) != s.node {
		return
	}
	interfaces := s.interfacesFor(ip)
	if mac := a.macFor(ip, c.interfaces, s.interfaces); mac != "" && len(interfaces) > 0 {
		s.plan.Proxied[ip] = Proxy{interfaces, mac}
	}
}
