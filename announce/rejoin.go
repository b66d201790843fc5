package announce

import (
	"net/netip"
	"slices"
	"time"
)

// patience is how long a node whose link was down looks for the others before it believes that they are gone: twice the
// longest time between two attempts of the gossip to find them.
const patience = 10 * time.Second

// rejoin keeps a node from announcing while its own link is down or it is isolated otherwise, and until it has found the
// others again afterwards. All that such a node sees is that everybody else has gone: it would take over whatever they have.
type rejoin struct {
	// address of the node, which the gossip uses.
	address netip.Addr
	// watched says that the address was seen on an interface. Where it never is, nothing can be said.
	watched bool
	// known are the members that were alive when all was well.
	known []string
	// waiting says that the link was down and not all of them have been found since; back is when it came back.
	waiting bool
	back    time.Time
}

// may says whether the node may announce, given its interfaces that are up and the members that are alive. If only time is
// missing, wait says how much.
func (r *rejoin) may(up []Interface, alive []string, isolated bool, now time.Time) (ok bool, wait time.Duration) {
	if slices.ContainsFunc(up, func(i Interface) bool { return i.contains(r.address) }) {
		r.watched = true
	} else if r.watched {
		isolated = true
	}
	if isolated {
		r.waiting, r.back = true, time.Time{}
		return false, 0
	}
	if r.waiting {
		if r.back.IsZero() {
			r.back = now
		}
		missing := func(name string) bool { return !slices.Contains(alive, name) }
		if wait = r.back.Add(patience).Sub(now); wait > 0 && slices.ContainsFunc(r.known, missing) {
			return false, wait
		}
		r.waiting = false
	}
	r.known = alive
	return true, 0
}
