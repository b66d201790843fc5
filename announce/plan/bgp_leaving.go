package plan

import (
	"net/netip"
	"slices"
	"time"
)

// leavingRoutes are the addresses that the node announces no longer than it takes peers to find
// other ways, because it is drained, its endpoints terminate or its kube-proxy does not serve: the graceful shutdown (RFC 8326) of one
// route. They have when that began; the zero time for addresses that stay because no other node can
// announce them. Once another node can, that begins: its route has to arrive first, and its session may not last.
type leavingRoutes map[netip.Addr]time.Time

// at finds out how far an address has come that leaves or not: whether its route says that others
// are to be preferred, or is withdrawn. One of which nothing was known leaves since begin.
func (l leavingRoutes) at(ip netip.Addr, leaves bool, begin, now time.Time) (graceful, withdrawn bool) {
	if !leaves {
		l[ip] = time.Time{}
		return false, false
	}
	switch since, known := l[ip]; {
	case !known:
		l[ip] = begin
	case since.IsZero():
		l[ip] = now
	}
	withdrawn = !now.Before(l[ip].Add(gracefulPeriod))
	return !withdrawn, withdrawn
}

// due are the addresses whose routes are to be withdrawn since the last plan, and when the next ones are;
// zero: never.
func (l leavingRoutes) due(last, now time.Time) (due []netip.Addr, wake time.Time) {
	for ip, since := range l {
		if since.IsZero() {
			continue
		}
		end := since.Add(gracefulPeriod)
		switch {
		case now.Before(end):
			wake = Earlier(wake, end)
		case last.Before(end):
			due = append(due, ip)
		}
	}
	return due, wake
}

// terminates says whether all endpoints that a node has for an address terminate, while other nodes
// have ready ones.
func terminates(node string, requests []announceRequest) bool {
	serves := false
	for _, r := range requests {
		if r.on == nil || hasNode(r.on, node) {
			return false
		}
		serves = serves || hasNode(r.serving, node)
	}
	return serves
}

// reluctant is why a node would rather leave an address to others; "" if it would not.
func (p *BGPPlanner) reluctant(node string, requests []announceRequest) Reason {
	n := p.view.nodes[node]
	switch {
	case n != nil && n.draining:
		return Draining
	case p.view.kubeProxies.down(node):
		return KubeProxyDown
	case terminates(node, requests):
		return EndpointsTerminate
	}
	return ""
}

// leaves says why a node is to leave an address to others that can announce it; "" if it is not. If its
// endpoints terminate, that takes a node with a ready one for each Service of which it has some.
func (p *BGPPlanner) leaves(node string, ip netip.Addr, requests []announceRequest) Reason {
	reason := p.reluctant(node, requests)
	switch reason {
	case Draining, KubeProxyDown:
		if !p.elsewhere(node, ip, requests) {
			return ""
		}
	case EndpointsTerminate:
		if !p.readyElsewhere(node, ip, requests) {
			return ""
		}
	}
	return reason
}

func (p *BGPPlanner) readyElsewhere(node string, ip netip.Addr, requests []announceRequest) bool {
	for _, r := range requests {
		if hasNode(r.serving, node) && !slices.ContainsFunc(r.on, func(name string) bool { return p.canAnnounce(name, ip, []announceRequest{r}) }) {
			return false
		}
	}
	return true
}

// canAnnounce says whether a node that is in service can announce an address, and has a session to do it by.
func (p *BGPPlanner) canAnnounce(name string, ip netip.Addr, requests []announceRequest) bool {
	n := p.view.nodes[name]
	if n == nil || n.draining || n.excluded || n.notReady || p.view.kubeProxies.down(name) || len(p.view.sessions[name]) == 0 {
		return false
	}
	advertisements, _ := p.judge(name, n, ip, requests)
	peers, _ := p.peers(n, ip, advertisements)
	return p.view.sends(name, peers, ip)
}
