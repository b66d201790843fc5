package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// recordTimeout is how long a node waits for its claim on a new address to come back from the API
// before it announces nevertheless: the API may have gone away since.
const recordTimeout = 3 * time.Second

// claims is what the planner's node has, is about to have or is giving up, by address.
type claims struct {
	owned map[netip.Addr]*ownership
	// announced has those of owned that the node announces, and on which interfaces.
	announced map[netip.Addr][]string
	// rebalanced is the last request for rebalancing that was met.
	rebalanced string
	// heldUntil is until when the node answers nothing, and away for how long it has not run before, if it has yet to find out what
	// happened meanwhile.
	heldUntil time.Time
	away      time.Duration
}

// ownership is an address that the planner's node announces or is about to.
type ownership struct {
	claim
	// made is the generation of the live set at which the claim was made.
	made int
	// from and reason are how the address came here.
	from   string
	reason MoveReason
	// previous are the nodes that had the address before and serve connections that began there,
	// the last one first.
	previous []string
	// tentative is there until the node may announce an address that is new.
	tentative *tentative
	// disputed says that another node sees its claim of the same epoch as the best one, and that this one is to take the next epoch.
	disputed bool
	// left are the interfaces on which the node has stopped to announce the address before the next owner has claimed it; none else. The
	// claim stays until then, so that the next owner knows what it follows, and need not ask the network.
	left []string
	handover
}

// tentative is of an address that nobody has announced so far: it begins with a claim that others
// can see, and with probing the network for a host that has it (RFC 5227, RFC 4862).
type tentative struct {
	// clear says that nobody answered.
	clear bool
	// until is when the node stops waiting for its claim to be recorded.
	until time.Time
}

// claim is an entry of an Announcer's status, or of a ClaimSlice.
type claim struct {
	election.Claim
	since time.Time
	// seen is the View's claimOrder when the claim was seen first; 0 for one that was there from the start.
	seen uint64
}

// due says whether the node has waited for long enough: for its claim to be recorded, or for the
// next owner to be heard.
func (o *ownership) due(now time.Time) bool {
	return o.tentative != nil && !now.Before(o.tentative.until) || !o.until.IsZero() && !now.Before(o.until)
}

// reconcile has the node do about an address what the election says, and reports if the address
// comes or goes.
func (c *claims) reconcile(s *step, ip netip.Addr) (Move, bool) {
	d, o := s.round.Decision(ip), c.owned[ip]
	switch {
	case d.Owner != s.node && o == nil:
		return Move{}, false
	case d.Owner != s.node:
		return c.release(s, ip, o, d)
	case o != nil:
		o.keep(s, ip)
	case d.Why == election.Unclaimed && s.live.warmingUp:
		return Move{}, false
	default:
		o = newOwnership(s, ip, d)
		c.owned[ip] = o
	}
	if reachable := s.absences.reachable(o.previous, s.view, s.now); len(reachable) != len(o.previous) {
		o.previous = reachable
		s.plan.Changed = true
	}
	o.claimBest(s, ip)
	if _, announced := c.announced[ip]; !announced && s.mustWait(ip, d) {
		return Move{}, false
	}
	return c.announce(s, ip, o)
}

func newOwnership(s *step, ip netip.Addr, d election.Decision) *ownership {
	o := &ownership{from: d.Incumbent, reason: gains[d.Why], previous: previousOwners(s.view, s.node, ip, d)}
	o.claim = claim{Claim: election.Claim{Node: s.node, Order: election.Unrecorded}, since: s.now}
	if d.Why == election.Unclaimed || d.Tentative {
		o.reason, o.tentative = MoveNew, &tentative{until: s.now.Add(recordTimeout)}
	}
	return o
}

var gains = map[election.Why]MoveReason{
	election.Incumbent:           MoveResumed,
	election.Unclaimed:           MoveNew,
	election.IncumbentDown:       MoveIncumbentDown,
	election.IncumbentIneligible: MoveIncumbentIneligible,
	election.HandedOver:          MoveHandedOver,
}

// claimBest makes sure that the node's claim on an address is the best one: the one it has, or one
// that follows all others.
func (o *ownership) claimBest(s *step, ip netip.Addr) {
	best := o.claim
	for _, c := range s.view.claims[ip] {
		if c.Beats(best.Claim) {
			best = c
		}
	}
	unrecorded := max(s.takeovers[ip].epoch, s.told[ip].epoch)
	// The node may have lost the address since it recorded its claim, which is not the one that another node goes by then.
	retaken := o.Epoch == 0 && best.Epoch < unrecorded
	if best.Node != s.node || best.Epoch == 0 || retaken || o.disputed {
		epoch := election.NextEpoch(max(best.Epoch, unrecorded))
		best = claim{Claim: election.Claim{Node: s.node, Epoch: epoch, Order: election.Unrecorded}, since: o.since}
	}
	if best.Epoch != o.Epoch {
		o.made = s.live.generation
		s.plan.Changed = true
	}
	o.claim, o.disputed = best, false
}

// announce has the node announce an address that it owns, unless that is tentative.
func (c *claims) announce(s *step, ip netip.Addr, o *ownership) (Move, bool) {
	if t := o.tentative; t != nil {
		t.clear = t.clear || s.unprobed(ip)
		if !t.clear || s.recorded(ip, o.Epoch).Node == "" && s.now.Before(t.until) {
			return Move{}, false
		}
		o.tentative = nil
	}
	interfaces := s.interfacesFor(ip)
	before, announced := c.announced[ip]
	if !announced || !slices.Equal(before, interfaces) {
		c.announced[ip] = interfaces
		s.plan.Changed = true
	}
	return Move{Address: ip, From: o.from, To: s.node, Reason: o.reason, Interfaces: interfaces}, !announced
}

// takenOver is this node's claim on an address that it has taken over and not recorded yet; false if there is none.
func (c *claims) takenOver(ip netip.Addr, t takeovers, node string) (election.Claim, bool) {
	o := c.owned[ip]
	if o == nil || t[ip].node != node || t[ip].epoch != o.Epoch {
		return election.Claim{}, false
	}
	return o.Claim, true
}

// clear takes note that no host answers for an address but, if that is not "", a node that serves it:
// connections have begun there.
func (c *claims) clear(ip netip.Addr, serving string) {
	o := c.owned[ip]
	if o == nil || o.tentative == nil {
		return
	}
	o.tentative.clear = true
	if serving != "" && !slices.Contains(o.previous, serving) {
		o.previous = append([]string{serving}, o.previous[:min(len(o.previous), maxPreviousOwners-1)]...)
	}
}

// status is what the node records of its claims.
func (c *claims) status() (addresses []v1alpha1.Layer2Address) {
	for _, ip := range slices.SortedFunc(maps.Keys(c.owned), netip.Addr.Compare) {
		o := c.owned[ip]
		interfaces, announced := c.announced[ip]
		if !announced {
			interfaces = o.left
		}
		addresses = append(addresses, v1alpha1.Layer2Address{
			IP:             ip.String(),
			Interfaces:     interfaces,
			Epoch:          o.Epoch,
			Since:          metav1.NewTime(o.since.Truncate(time.Second)),
			HandoverTo:     o.to,
			PreviousOwners: o.previous,
		})
	}
	return addresses
}
