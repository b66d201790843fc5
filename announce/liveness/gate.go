package liveness

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

// reconnectTimeout is how long a node that was cut off waits for the others to be back in the
// gossip, and for its caches to catch up with what they have claimed meanwhile, before it goes on
// without: twice the longest time between two attempts of the gossip to find them.
const reconnectTimeout = 10 * time.Second

// Gate keeps a node from announcing while it is cut off, because its own link is down or it is
// isolated otherwise, and until it has found the others again afterwards. All that such a node sees
// is that everybody else has gone: it would take over whatever they have. The methods of a Gate are
// for one goroutine.
type Gate struct {
	// Address of the node, which the gossip uses.
	Address netip.Addr
	// seen says that the address was seen on an interface. Where it never is, the gate cannot tell
	// whether the link is down.
	seen bool
	// known are the members that were alive when all was well.
	known []string
	// closed says that the node was cut off and has not caught up since; reconnected is when it was
	// connected again, zero if it is still cut off.
	closed      bool
	reconnected time.Time
}

// Allows says whether the node may announce, given its interfaces, the members that are
// alive, whether it is isolated, and whether its caches have caught up with the API, which is asked
// only after it was cut off. If only time is missing, wait says how much.
func (g *Gate) Allows(interfaces []plan.Interface, alive []string, isolated bool, synced func() bool, now time.Time) (ok bool, wait time.Duration) {
	if g.isCutOff(interfaces) || isolated {
		g.closed, g.reconnected = true, time.Time{}
		return false, 0
	}
	if g.closed {
		if g.reconnected.IsZero() {
			g.reconnected = now
		}
		caughtUp := synced()
		missing := slices.ContainsFunc(g.known, func(name string) bool { return !slices.Contains(alive, name) })
		if wait = g.reconnected.Add(reconnectTimeout).Sub(now); wait > 0 && (!caughtUp || missing) {
			return false, wait
		}
		g.closed = false
	}
	g.known = alive
	return true, 0
}

// isCutOff says whether the node's address was on an interface and is on none that is up.
func (g *Gate) isCutOff(interfaces []plan.Interface) bool {
	if slices.ContainsFunc(interfaces, func(i plan.Interface) bool { return !i.Down && i.Contains(g.Address) }) {
		g.seen = true
		return false
	}
	return g.seen
}
