package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// recordTimeout is how long a node waits for its claim on a new address to come back from the API before it announces
// nevertheless: the API may have gone away since.
const recordTimeout = 3 * time.Second

// heardRecently is for how long it counts that a node has announced an address: longer than it takes this one to find out that
// the address is the other's.
const heardRecently = 10 * time.Second

// handoverOverlap is for how long a node goes on to answer for an address after it has heard that the next owner does: of what was asked
// just before, that one may have passed over what this one has not read yet. Who learns this node's hardware address in
// that time hears of the other when that announces the address again.
const handoverOverlap = 100 * time.Millisecond

// ownership is an address that the planner's node announces or is about to.
type ownership struct {
	claim
	// made tells when the claim was made, in the sight's count.
	made int
	// from and reason are how the address came here.
	from   string
	reason MoveReason
	// previous are the nodes that had the address before and serve connections that began there, the last one first.
	previous []string
	// tentative is there until the node may announce an address that is new.
	tentative *tentative
	// handoverTo is the node that is to take the address over.
	handoverTo string
	// heard is another node that has announced the address, and when.
	heard     string
	heardWhen time.Time
	// waited says that the node has answered on for the next owner to do so, and until is when it stops.
	waited bool
	until  time.Time
}

// tentative is of an address that nobody has announced so far: it begins with a claim that others can see, and with asking the
// network whether a stranger has it.
type tentative struct {
	// clear says that nobody answered.
	clear bool
	// until is when the node stops waiting for its claim to be recorded.
	until time.Time
}

// claim is an entry of an Announcer's status.
type claim struct {
	election.Claim
	since time.Time
}

// reconcile has the node do about an address what the election says, and reports if it comes or goes.
func (p *Layer2Planner) reconcile(ip netip.Addr, now time.Time) (Move, bool) {
	d, o := p.round.Decision(ip), p.owned[ip]
	if d.Owner != p.node {
		return p.release(ip, o, d, now)
	}
	if o == nil {
		if d.Why == election.Unclaimed && p.warmingUp {
			return Move{}, false
		}
		o = &ownership{from: d.Incumbent, reason: gains[d.Why], previous: p.previousOwners(ip, d)}
		o.claim = claim{election.Claim{Node: p.node, Order: election.Unrecorded}, now}
		if d.Why == election.Unclaimed || d.Tentative {
			o.reason, o.tentative = MoveNew, &tentative{until: now.Add(recordTimeout)}
		}
		p.owned[ip] = o
	} else if o.handoverTo != "" && p.recorded(ip, o).HandoverTo == o.handoverTo {
		o.handoverTo = "" // it cannot take it
		p.changed = true
	}
	if !o.until.IsZero() {
		p.reannounce = append(p.reannounce, ip) // another node has announced it
	}
	o.waited, o.until = false, time.Time{}
	if left := p.reachable(o.previous, now); len(left) != len(o.previous) {
		o.previous = left
		p.changed = true
	}
	p.claim(ip, o)
	if t := o.tentative; t != nil {
		recorded := p.recorded(ip, o)
		if !t.clear || recorded.Node == "" && now.Before(t.until) {
			return Move{}, false
		}
		o.tentative = nil
	}
	interfaces := p.interfacesFor(ip)
	_, announced := p.announced[ip]
	if !announced || !slices.Equal(p.announced[ip], interfaces) {
		p.announced[ip] = interfaces
		p.changed = true
	}
	return Move{ip, o.from, p.node, o.reason, interfaces, ""}, !announced
}

var gains = map[election.Why]MoveReason{
	election.Incumbent:           MoveResumed,
	election.Unclaimed:           MoveNew,
	election.IncumbentDown:       MoveIncumbentDown,
	election.IncumbentIneligible: MoveIncumbentIneligible,
	election.HandedOver:          MoveHandedOver,
}

// release has the node give up an address that is not its own any more, as soon as that can be.
func (p *Layer2Planner) release(ip netip.Addr, o *ownership, d election.Decision, now time.Time) (Move, bool) {
	if o == nil {
		return Move{}, false
	}
	_, announced := p.announced[ip]
	if announced {
		may := p.mayStay(ip, d)
		if heard := o.heard == d.Owner && now.Sub(o.heardWhen) < heardRecently; may && !heard {
			o.waited, o.until = true, time.Time{}
			return Move{}, false
		}
		// A drained node may see that it is, and that the next owner has claimed the address, at the same time.
		if (may || o.waited || p.view.draining(p.node)) && o.until.IsZero() && d.Owner != "" {
			o.until = now.Add(handoverOverlap)
			p.quiesce = append(p.quiesce, ip)
		}
		if now.Before(o.until) {
			return Move{}, false
		}
	}
	delete(p.announced, ip)
	delete(p.owned, ip)
	p.changed = true
	reason := MoveSuperseded
	if d.Owner == "" {
		reason = MoveWithdrawn
	}
	return Move{ip, p.node, d.Owner, reason, nil, p.verdict(ip)}, announced
}

// mayStay says whether the node may go on announcing an address until its next owner does. It may not if that one has claimed
// it, which it does once it announces, or if the node could not serve the address anyway.
func (p *Layer2Planner) mayStay(ip netip.Addr, d election.Decision) bool {
	own, found := p.member(p.node)
	if !found || d.Owner == "" || d.Why == election.Incumbent && !d.Tentative {
		return false
	}
	requests, _ := p.requests(ip)
	able := *own
	if able.barred == Excluded {
		// The node can still serve. Where its interfaces are was not looked at.
		return slices.ContainsFunc(requests, func(r announceRequest) bool {
			a := p.advertisements[r.advertisement]
			return (r.on == nil || slices.Contains(r.on, p.node)) && a.selectsNode(p.view.nodes[p.node].labels) && a.covers(ip, p.interfaces)
		})
	}
	return p.judge(&able, ip, requests) == ""
}

// ObserveAnnouncement takes note that another node has announced an address: if it is to have it, this one need not wait any longer.
func (p *Layer2Planner) ObserveAnnouncement(ip netip.Addr, node string, now time.Time) {
	if o := p.owned[ip]; o != nil {
		o.heard, o.heardWhen = node, now
		p.revisit[ip] = struct{}{}
	}
}

// claim makes sure that the node's claim on an address is the best one: the one it has, or one that follows all others.
func (p *Layer2Planner) claim(ip netip.Addr, o *ownership) {
	best := o.claim
	for _, c := range p.view.claims[ip] {
		if c.Beats(best.Claim) {
			best = c
		}
	}
	if best.Node != p.node || best.Epoch == 0 {
		if t, known := p.takeovers[ip]; known {
			best.Epoch = max(best.Epoch, t.epoch)
		}
		best = claim{election.Claim{Node: p.node, Epoch: best.Epoch + 1, Order: election.Unrecorded}, o.since}
	}
	if best.Epoch != o.Epoch {
		o.made = p.live.count
		p.changed = true
	}
	o.claim = best
}

// recorded is the claim of the node as the API has it; the zero Claim if that does not have it, or another one beats it.
func (p *Layer2Planner) recorded(ip netip.Addr, o *ownership) election.Claim {
	if best, claimed := election.Best(p.view.electionClaims(ip)); claimed && best.Node == p.node && best.Epoch == o.Epoch {
		return best
	}
	return election.Claim{}
}

// announcedByAnother says whether another node has announced an address that this one has. A better claim can only have been made by
// somebody who had seen this node's: it proves its maker alive, even if the gossip does not see it.
func (p *Layer2Planner) announcedByAnother(ip netip.Addr) bool {
	o := p.owned[ip]
	contested := false
	for _, c := range p.view.claims[ip] {
		if o == nil || c.Node == p.node || c.Epoch < o.Epoch {
			continue
		}
		contested = contested || !c.Tentative
		if c.Epoch > o.Epoch && p.live.markAlive(c.Node, o.made) {
			p.stale = true
		}
	}
	return contested
}

// resume takes up, once, what the node has recorded of itself before its announcer was started.
func (p *Layer2Planner) resume(now time.Time) {
	own := p.view.announcers[p.node]
	if p.resumed || own == nil {
		return
	}
	p.resumed = true
	p.rebalanced = own.rebalanced
	for _, c := range own.conflicts {
		c.next = now
		p.conflicts[c.Address] = &c
	}
}

// rebalance has the node hand addresses to others if it was asked to and has more than its share.
func (p *Layer2Planner) rebalance() {
	own := p.view.announcers[p.node]
	if own == nil || own.rebalance == p.rebalanced {
		return
	}
	p.rebalanced = own.rebalance
	p.changed = true
	if own.rebalance == "" {
		return
	}
	for ip, to := range p.round.Rebalance() {
		o := p.owned[ip]
		if _, announced := p.announced[ip]; announced && p.round.Decision(ip).Owner == p.node {
			o.handoverTo = to
		}
	}
}

// Status is what the node records of itself on layer 2: the claims of the last plan, and the interfaces that can carry
// addresses, which others go by.
func (p *Layer2Planner) Status() v1alpha1.Layer2Status {
	status := v1alpha1.Layer2Status{Rebalanced: p.rebalanced}
	for _, i := range p.interfaces {
		named := slices.ContainsFunc(p.advertisements, func(a *l2Advertisement) bool { return a.names(i.Name) })
		if named || len(i.Prefixes) > 0 || i.DefaultRoute4 || i.DefaultRoute6 {
			status.Interfaces = append(status.Interfaces, writeInterface(i))
		}
	}
	for _, ip := range slices.SortedFunc(maps.Keys(p.owned), netip.Addr.Compare) {
		o := p.owned[ip]
		status.Addresses = append(status.Addresses, v1alpha1.Layer2Address{
			IP:             ip.String(),
			Interfaces:     p.announced[ip],
			Epoch:          o.Epoch,
			Since:          metav1.NewTime(o.since.Truncate(time.Second)),
			HandoverTo:     o.handoverTo,
			PreviousOwners: o.previous,
		})
	}
	for _, ip := range slices.SortedFunc(maps.Keys(p.conflicts), netip.Addr.Compare) {
		status.Conflicts = append(status.Conflicts, p.conflicts[ip].write())
	}
	return status
}

// verdict is why the node itself does not announce an address.
func (p *Layer2Planner) verdict(ip netip.Addr) Reason {
	requests, refused := p.requests(ip)
	if refused != "" {
		return refused
	}
	if own, found := p.member(p.node); found {
		return cmp.Or(p.judge(own, ip, requests), own.reluctant, StandsBy)
	}
	return NoAnnouncer
}
