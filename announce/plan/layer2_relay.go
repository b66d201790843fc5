package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// Connections that began while a node announced an address go on there when the address moves on purpose. The claim of the
// owner says which nodes announced the address before, the last one first. The owner relays what it does not know to the
// first of them, which relays what it does not know to the second, and so on.
//
// Some do not notice at once that an address has moved, because they have just heard that it did (Linux does not take back within
// a second what it has heard). What they send to a former owner may belong to connections of the present one: for a while the
// last of the former owners relays to that one. What nobody knows then goes round until it has come past too many nodes.

// noticePeriod is for how long that is.
const noticePeriod = 3 * time.Second

// maxPreviousOwners is how many former owners a claim names: Relays sends a packet past some more.
const maxPreviousOwners = 8

// previousOwnerGrace is how long a node out of sight is still relayed to: longer than it takes to restart its announcer, without
// which the node serves its connections too. After that, what belongs to them is refused here, so that clients know.
const previousOwnerGrace = RestartGrace

// previousOwners are the nodes that had an address before this one, when it gets it.
func (p *Layer2Planner) previousOwners(ip netip.Addr, d election.Decision) []string {
	var formers []string
	if d.Why == election.IncumbentIneligible || d.Why == election.HandedOver {
		formers = append(formers, d.Incumbent)
	}
	if holder := p.view.announcers[d.Incumbent]; holder != nil {
		formers = append(formers, holder.claims[ip].previousOwners...)
	}
	formers = slices.DeleteFunc(formers, func(name string) bool { return name == p.node })
	return formers[:min(len(formers), maxPreviousOwners)]
}

// reachable are those former owners that may still have connections.
func (p *Layer2Planner) reachable(formers []string, now time.Time) []string {
	lost := func(name string) bool {
		since, away := p.away[name]
		return away && now.Sub(since) >= previousOwnerGrace || p.view.nodes[name] == nil || p.view.announcers[name] == nil
	}
	if !slices.ContainsFunc(formers, lost) {
		return formers
	}
	return slices.DeleteFunc(slices.Clone(formers), lost)
}

// updateAway takes note of which announcers are out of sight.
func (p *Layer2Planner) updateAway(now time.Time) {
	for name := range p.view.announcers {
		if _, alive := slices.BinarySearch(p.alive, name); alive {
			delete(p.away, name)
		} else if _, noted := p.away[name]; !noted {
			p.away[name] = now
		}
	}
	for name := range p.away {
		if p.view.announcers[name] == nil {
			delete(p.away, name)
		}
	}
}

// expireAway has everything planned anew when a node has been out of sight for so long that it is not relayed to any more, and
// returns when that is for the next one.
func (p *Layer2Planner) expireAway(now time.Time) (wake time.Time) {
	for _, since := range p.away {
		if end := since.Add(previousOwnerGrace); now.Before(end) {
			wake = Earlier(wake, end)
		} else if p.planned.Before(end) {
			p.stale = true
		}
	}
	p.planned = now
	return wake
}

// rebuildRelays finds to which nodes to relay for every address.
func (p *Layer2Planner) rebuildRelays(now time.Time) {
	for ip := range p.owned {
		p.updateRelay(ip, now)
	}
	for ip := range p.view.withPrevious {
		p.updateRelay(ip, now)
	}
	for ip := range p.relays {
		p.updateRelay(ip, now)
	}
}

// updateRelay finds to which node to relay what is sent to an address and belongs to connections that this node does not know.
func (p *Layer2Planner) updateRelay(ip netip.Addr, now time.Time) {
	o := p.owned[ip]
	if o == nil && len(p.view.claims[ip]) == 0 && len(p.view.byAddress[ip]) > 0 {
		return // one owner has taken its claim back, and the next one's is not known yet
	}
	var formers []string
	if o != nil {
		formers = o.previous
	} else if later, is := p.olderOwners(ip); is {
		formers = later
	} else {
		delete(p.relays, ip)
		delete(p.ownerOf, ip)
		delete(p.unnoticed, ip)
		return
	}
	if owner := p.unnoticedOwner(ip, now); owner != p.node {
		formers = append(slices.Clone(formers), owner)
	}
	for _, name := range p.reachable(formers, now) {
		if r, found := p.relayTo(name, ip); found {
			p.relays[ip] = r
			return
		}
	}
	delete(p.relays, ip)
}

// olderOwners are the former owners that come after this node, if it is one itself of an address that another node has. That it has
// it may not be recorded yet: by what is, the owner may be this node, or a former one be one that has the address again and
// relays to this node.
func (p *Layer2Planner) olderOwners(ip netip.Addr) ([]string, bool) {
	if p.view.withPrevious[ip] == 0 {
		return nil, false
	}
	best, _ := election.Best(p.view.electionClaims(ip))
	formers := p.view.announcers[best.Node].claims[ip].previousOwners
	if best.Node != p.node {
		i := slices.Index(formers, p.node)
		if i < 0 {
			return nil, false
		}
		formers = formers[i+1:]
	}
	owner := p.round.Decision(ip).Owner
	return slices.DeleteFunc(slices.Clone(formers), func(name string) bool { return name == owner }), true
}

// unnoticedOwner returns the owner of an address while not all may have noticed that it is, and then this node.
func (p *Layer2Planner) unnoticedOwner(ip netip.Addr, now time.Time) string {
	owner := p.round.Decision(ip).Owner
	if before, known := p.ownerOf[ip]; before != owner {
		p.ownerOf[ip] = owner
		if known {
			p.unnoticed[ip] = now.Add(noticePeriod)
		}
	}
	if now.Before(p.unnoticed[ip]) {
		return owner
	}
	return p.node
}

// expireUnnoticed has addresses looked at of whose move all have heard, and returns when that is for the next one.
func (p *Layer2Planner) expireUnnoticed(now time.Time) (wake time.Time) {
	for ip, until := range p.unnoticed {
		if now.Before(until) {
			wake = Earlier(wake, until)
		} else {
			delete(p.unnoticed, ip)
			p.revisit[ip] = struct{}{}
		}
	}
	return wake
}

// relayTo is the way to a node for what is sent to an address. It is there if the node has an address in a network in which
// both are: with a router in between, packets would come back.
func (p *Layer2Planner) relayTo(name string, ip netip.Addr) (Relay, bool) {
	n, a := p.view.nodes[name], p.view.announcers[name]
	if n == nil || a == nil {
		return Relay{}, false
	}
	interfaces, announced := p.announced[ip]
	for _, own := range p.interfaces {
		if announced && !slices.Contains(interfaces, own.Name) {
			continue
		}
		for _, to := range n.addresses {
			connected := func(i Interface) bool { return i.Contains(to) && i.shares(own, to.Is4()) }
			if to.Is4() == ip.Is4() && own.Contains(to) && slices.ContainsFunc(a.interfaces, connected) {
				return Relay{To: to, Interface: own.Name}, true
			}
		}
	}
	return Relay{}, false
}
