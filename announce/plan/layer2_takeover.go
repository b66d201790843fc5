package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// takeovers are those of all nodes, the planner's own among them, that the planner does not see
// recorded yet.
type takeovers map[netip.Addr]takeover

// takeover is a Takeover and whose it is.
type takeover struct {
	node  string
	epoch int64
	// until is when it stops to count: the node's claim should be recorded by then, and if the API
	// is away, nodes that were not told must not disagree for long.
	until time.Time
}

// note has a takeover count, unless a better one is known, and returns whether that is news. Of two of one epoch, by nodes that
// did not hear of each other, that of the node whose name sorts first is the better one, as with claims.
func (t takeovers) note(ip netip.Addr, o takeover) bool {
	known, is := t[ip]
	if is && (known.epoch > o.epoch || known.epoch == o.epoch && known.node < o.node) {
		return false
	}
	t[ip] = o
	return !is || known.node != o.node || known.epoch != o.epoch
}

// takenBy is the node that has taken an address over; "" for none. A takeover that the best of the
// recorded claims shows, or comes after, is forgotten. A node whose announcer is down since has
// taken nothing over.
func (t takeovers) takenBy(ip netip.Addr, best election.Claim, live *liveSet) string {
	o, is := t[ip]
	if is && best.Epoch >= o.epoch {
		delete(t, ip)
		return ""
	}
	if !is || live.states[o.node] == AnnouncerDown {
		return ""
	}
	return o.node
}

// repeat returns those takeovers of a node that it is to tell again, because the API has not shown them for half of the time for
// which they count, and when there will be more. The others would forget them while the API is away.
func (t takeovers) repeat(node string, now time.Time) (due []Takeover, wake time.Time) {
	for ip, o := range t {
		if o.node != node {
			continue
		}
		if at := o.until.Add(-recordTimeout / 2); now.Before(at) {
			wake = Earlier(wake, at)
			continue
		}
		o.until = now.Add(recordTimeout)
		t[ip] = o
		due = append(due, Takeover{Address: ip, Epoch: o.epoch})
		wake = Earlier(wake, now.Add(recordTimeout/2))
	}
	slices.SortFunc(due, func(a, b Takeover) int { return a.Address.Compare(b.Address) })
	return due, wake
}

// giveUp forgets the takeover of an address that the node does not have any more.
func (t takeovers) giveUp(ip netip.Addr, node string) {
	if t[ip].node == node {
		delete(t, ip)
	}
}

// expire forgets takeovers whose time is over, and returns when that of the next one is.
func (t takeovers) expire(now time.Time) (expired []netip.Addr, wake time.Time) {
	for ip, o := range t {
		if now.Before(o.until) {
			wake = Earlier(wake, o.until)
			continue
		}
		delete(t, ip)
		expired = append(expired, ip)
	}
	return expired, wake
}

// noteRecorded has the others told, once more, of an address that this node has taken over and sees recorded now. Those of which the API
// is away would forget it.
func (p *Layer2Planner) noteRecorded(ip netip.Addr, best election.Claim) {
	if t, is := p.takeovers[ip]; is && t.node == p.node && best.Node == p.node && best.Epoch == t.epoch {
		p.recordedTakeovers.add(ip)
	}
}

// tellRecorded adds those takeovers to the plan.
func (p *Layer2Planner) tellRecorded(s *step) {
	for ip := range p.recordedTakeovers {
		if own, has := p.ownClaim(ip); has {
			s.plan.Takeovers = append(s.plan.Takeovers, own)
		}
	}
	p.recordedTakeovers = nil
}
