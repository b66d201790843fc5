package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// noticePeriod is how long it may take until all have noticed that an address has moved: Linux does
// not take back within a second what it has just heard.
const noticePeriod = 3 * time.Second

// heardPeriod is how long those may send to a node that have heard it announce an address of another one: until the owner announces
// the address anew, which it does once a minute, and they have noticed that.
const heardPeriod = time.Minute + noticePeriod

// relays is to which other node this one relays what is sent to an address and belongs to
// connections that it does not know.
//
// Connections that began while a node announced an address go on there when the address moves on
// purpose. The claim of the owner says which nodes announced the address before, the last one
// first. The owner relays what it does not know to the first of them, which relays what it does not
// know to the second, and so on.
//
// Who has not noticed that an address has moved sends to a previous owner what may belong to
// connections of the present one. For the noticePeriod the last of the previous owners therefore
// relays to the owner. So does a previous owner that is heard to announce the address, for the
// heardPeriod: another load balancer may have it there, too. What nobody knows then goes round until
// it has come past too many nodes.
type relays struct {
	to map[netip.Addr]Relay
	// ownerOf has who owns the addresses that are here or were, and unnoticed until when some may
	// not have noticed a change.
	ownerOf   map[netip.Addr]string
	unnoticed map[netip.Addr]time.Time
}

// expire returns the addresses of whose move all have heard by now, and when that is for the next one.
func (r *relays) expire(now time.Time) (noticed []netip.Addr, wake time.Time) {
	for ip, until := range r.unnoticed {
		if now.Before(until) {
			wake = Earlier(wake, until)
		} else {
			delete(r.unnoticed, ip)
			noticed = append(noticed, ip)
		}
	}
	return noticed, wake
}

// plan finds where to relay what is sent to the addresses that were touched, or to all.
func (r *relays) plan(s *step, own *claims, touched addressSet, all bool) {
	update := func(ip netip.Addr) { s.try(ip, func() { r.update(s, own, ip) }) }
	if !all {
		for ip := range touched {
			update(ip)
		}
		return
	}
	for ip := range own.owned {
		update(ip)
	}
	for ip := range s.view.withPrevious {
		update(ip)
	}
	for ip := range r.to {
		update(ip)
	}
}

// update finds where to relay what is sent to an address.
func (r *relays) update(s *step, own *claims, ip netip.Addr) {
	o := own.owned[ip]
	if o == nil && len(s.view.claims[ip]) == 0 && len(s.view.byAddress[ip]) > 0 {
		return // one owner has taken its claim back, and the next one's is not known yet
	}
	var previous []string
	if o != nil {
		previous = o.previous
	} else if earlier, is := s.ownersBefore(ip); is {
		previous = earlier
	} else {
		delete(r.to, ip)
		delete(r.ownerOf, ip)
		return
	}
	if owner := r.unnoticedOwner(s, ip); owner != s.node {
		previous = append(slices.Clone(previous), owner)
	}
	interfaces, announced := own.announced[ip]
	usable := func(i Interface) bool { return !announced || slices.Contains(interfaces, i.Name) }
	for _, name := range s.absences.reachable(previous, s.view, s.now) {
		if relay, found := s.relayTo(name, ip, usable); found {
			r.to[ip] = relay
			return
		}
	}
	delete(r.to, ip)
}

// unnoticedOwner returns the owner of an address while not all may have noticed that it is, and
// then this node.
func (r *relays) unnoticedOwner(s *step, ip netip.Addr) string {
	owner := s.round.Decision(ip).Owner
	if before, known := r.ownerOf[ip]; before != owner {
		r.ownerOf[ip] = owner
		if known {
			r.notNoticedUntil(ip, s.now.Add(noticePeriod))
		}
	}
	if s.now.Before(r.unnoticed[ip]) {
		return owner
	}
	return s.node
}

// notNoticedUntil takes note that some may not have noticed, until then, who owns an address.
func (r *relays) notNoticedUntil(ip netip.Addr, until time.Time) {
	if until.After(r.unnoticed[ip]) {
		r.unnoticed[ip] = until
	}
}

// ownersBefore are the nodes that had an address before this one, if this one had it before the
// present owner. What is recorded may be behind: by that, the owner may still be this node, and a
// previous owner may be the one that has the address again and relays to this node.
func (e *electorate) ownersBefore(ip netip.Addr) ([]string, bool) {
	if e.view.withPrevious[ip] == 0 {
		return nil, false
	}
	best, _ := election.Best(e.view.electionClaims(ip))
	previous := e.view.announcers[best.Node].claims[ip].previousOwners
	if best.Node != e.node {
		i := slices.Index(previous, e.node)
		if i < 0 {
			return nil, false
		}
		previous = previous[i+1:]
	}
	owner := e.round.Decision(ip).Owner
	return slices.DeleteFunc(slices.Clone(previous), func(name string) bool { return name == owner }), true
}

// relayTo is the way to a node for what is sent to an address, over the usable ones of this node's
// interfaces. It is there if the node has an address in a network in which both are: with a gateway
// in between, packets would come back.
func (e *electorate) relayTo(name string, ip netip.Addr, usable func(Interface) bool) (Relay, bool) {
	n, a := e.view.nodes[name], e.view.announcers[name]
	if n == nil || a == nil {
		return Relay{}, false
	}
	interfaces := slices.DeleteFunc(slices.Clone(e.interfaces), func(i Interface) bool { return !usable(i) })
	for _, to := range n.addresses {
		own, onLink, ok := lookup(to, interfaces)
		connected := func(i Interface) bool { return i.Contains(to) && i.shares(own, to.Is4()) }
		if to.Is4() == ip.Is4() && ok && onLink && slices.ContainsFunc(a.interfaces, connected) {
			return Relay{To: to, Interface: own.Name}, true
		}
	}
	return Relay{}, false
}
