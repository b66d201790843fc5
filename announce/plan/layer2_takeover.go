package plan

import (
	"net/netip"
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

// note has a takeover count, unless a later one is known, and returns whether it does.
func (t takeovers) note(ip netip.Addr, o takeover) bool {
	if known, is := t[ip]; is && known.epoch >= o.epoch {
		return false
	}
	t[ip] = o
	return true
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
