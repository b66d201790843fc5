package liveness

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

// rejoinTimeout is how long a node that was cut off looks for the others, and for what they have claimed meanwhile, before it goes
// on without: twice the longest time between two attempts of the gossip to find them.
const rejoinTimeout = 10 * time.Second

// Gate keeps a node from announcing while its own link is down or it is isolated otherwise, and until it has found the
// others again afterwards. All that such a node sees is that everybody else has gone: it would take over whatever they have.
type Gate struct {
	// Address of the node, which the gossip uses.
	Address netip.Addr
	// seen says that the address was seen on an interface. Where it never is, nothing can be said.
	seen bool
	// known are the members that were alive when all was well.
	known []string
	// waiting says that the node was cut off and has not caught up with them since; back is when it was connected again.
	waiting     bool
	reconnected time.Time
}

// Allows says whether the node may announce, given its interfaces that are up, the members that are alive, and whether it knows
// what the API says now, which is asked only after it was cut off. If only time is missing, wait says how much.
func (r *Gate) Allows(up []plan.Interface, alive []string, isolated bool, fresh func() bool, now time.Time) (ok bool, wait time.Duration) {
	if slices.ContainsFunc(up, func(i plan.Interface) bool { return i.Contains(r.Address) }) {
		r.seen = true
	} else if r.seen {
		isolated = true
	}
	if isolated {
		r.waiting, r.reconnected = true, time.Time{}
		return false, 0
	}
	if r.waiting {
		if r.reconnected.IsZero() {
			r.reconnected = now
		}
		missing := func(name string) bool { return !slices.Contains(alive, name) }
		caughtUp := fresh()
		if wait = r.reconnected.Add(rejoinTimeout).Sub(now); wait > 0 && (!caughtUp || slices.ContainsFunc(r.known, missing)) {
			return false, wait
		}
		r.waiting = false
	}
	r.known = alive
	return true, 0
}
