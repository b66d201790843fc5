package speaker

import (
	"net/netip"
	"time"
)

// routers are those that advertise themselves on an interface, and which of them is tried now. The
// zero value knows none.
type routers struct {
	// heard is when each advertised itself last, and tried which have been passed over in this round.
	heard map[netip.Addr]time.Time
	tried map[netip.Addr]bool
	// current is the zero Addr if there is none.
	current netip.Addr
}

const (
	// routerLifetime is how long a router is remembered that does not advertise itself: the longest
	// interval between advertisements (RFC 4861, section 6.2.1).
	routerLifetime = 1800 * time.Second
	// maxRouters is how many are remembered. Anybody on the network can send advertisements.
	maxRouters = 32
)

// add takes in an advertisement. added says that it is of a new one, and changed that it is current.
func (r *routers) add(router netip.Addr, now time.Time) (added, changed bool) {
	if r.heard == nil {
		r.heard, r.tried = map[netip.Addr]time.Time{}, map[netip.Addr]bool{}
	}
	if _, known := r.heard[router]; known {
		r.heard[router] = now
		return false, false
	}
	r.forget(now)
	if len(r.heard) >= maxRouters && !r.makeRoom() {
		return false, false
	}
	r.heard[router] = now
	if r.current.IsValid() {
		return true, false
	}
	r.current = router
	return true, true
}

// forget drops those that have not advertised themselves for long.
func (r *routers) forget(now time.Time) {
	for router, heard := range r.heard {
		if router != r.current && now.Sub(heard) > routerLifetime {
			delete(r.heard, router)
			delete(r.tried, router)
		}
	}
}

// makeRoom drops the one that was tried in this round and advertised itself longest ago, so that those who fill all places do not
// keep the router out. It returns false if none was tried but the current one.
func (r *routers) makeRoom() bool {
	var oldest netip.Addr
	for router := range r.tried {
		if router != r.current && (!oldest.IsValid() || r.heard[router].Before(r.heard[oldest])) {
			oldest = router
		}
	}
	delete(r.heard, oldest)
	delete(r.tried, oldest)
	return oldest.IsValid()
}

// pass has the next one be current: of those that have not been tried in this round the lowest.
// more is false if there is none, and a new round begins.
func (r *routers) pass(router netip.Addr, now time.Time) (more bool) {
	if router != r.current {
		return true // it has been passed over already
	}
	r.forget(now)
	r.tried[router] = true
	if next := r.untried(); next.IsValid() {
		r.current = next
		return true
	}
	clear(r.tried)
	r.current = r.untried()
	return false
}

// untried is the lowest one that has not been tried in this round; the zero Addr if there is none.
func (r *routers) untried() netip.Addr {
	var lowest netip.Addr
	for router := range r.heard {
		if !r.tried[router] && (!lowest.IsValid() || router.Less(lowest)) {
			lowest = router
		}
	}
	return lowest
}
