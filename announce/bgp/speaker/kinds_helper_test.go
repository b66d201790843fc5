package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/routertest"
)

// patience is how long anything may take that a router does.
const patience = time.Minute

// anyRouter is a router of some kind that shares a network with the node, in autonomous system
// 65001. It knows the node as one neighbor, in 65000.
type anyRouter struct {
	*router
	routertest.Router
	kind routertest.Kind
	t    testing.TB
	// peer is to speak with it, and neighbor is how it knows the node.
	peer     bgp.Peer
	neighbor routertest.Neighbor
}

// newAnyRouter starts one, which speaks with the node over IPv4, or as the neighbor is changed.
func newAnyRouter(t testing.TB, kind routertest.Kind, change ...func(*anyRouter)) *anyRouter {
	t.Helper()
	site := newSite(t)
	r := &anyRouter{router: site, kind: kind, t: t, peer: site.peer()}
	r.neighbor = routertest.Neighbor{Address: r.node4, Local: r.v4, ASN: r.peer.LocalASN, HoldTime: 9 * time.Second, GracefulRestart: true}
	r.peer.HoldTime = r.neighbor.HoldTime
	for _, c := range change {
		c(r)
	}
	var err error
	r.Router, err = kind.New(routertest.On(r.host.Host), t.TempDir(), routertest.Config{ASN: 65001, RouterID: r.v4, Neighbors: []routertest.Neighbor{r.neighbor}})
	must(t, err)
	runRouter(t, r.Router)
	return r
}

// overIPv6 has the session be over IPv6.
func overIPv6(r *anyRouter) {
	r.neighbor.Address, r.neighbor.Local = r.node6, r.v6
	r.peer.Address = r.v6
}

func (r *anyRouter) start() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	must(r.t, r.Start(ctx))
}

// session is what the router sees of the session with the node.
func (r *anyRouter) session() (routertest.Session, error) {
	sessions, err := r.Sessions(r.t.Context())
	return sessions[r.neighbor.Address], err
}

// awaitSession waits until the router sees the session so.
func (r *anyRouter) awaitSession(what string, is func(routertest.Session) bool) {
	r.t.Helper()
	eventually(r.t, what, func() (bool, any) {
		s, err := r.session()
		return err == nil && is(s), fmt.Sprintf("%+v, %v", s, err)
	})
}

// route returns the node's route to a prefix that the router has.
func (r *anyRouter) route(prefix string) (route routertest.Route, has bool, err error) {
	routes, err := r.Routes(r.t.Context(), netip.MustParsePrefix(prefix))
	route, has = routes[r.neighbor.Address]
	return route, has, err
}

// awaitRoute waits until the router has such a route to a prefix.
func (r *anyRouter) awaitRoute(prefix, what string, is func(routertest.Route) bool) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("a route to %s: %s", prefix, what), func() (bool, any) {
		route, has, err := r.route(prefix)
		return has && is(route), fmt.Sprintf("%v %+v, %v", has, route, err)
	})
}

// receives waits until the router has these routes, by way of NODE or NODE6, and its kernel these
// alone.
func (r *anyRouter) receives(want map[string]string) {
	r.t.Helper()
	for prefix, hop := range want {
		hop := netip.MustParseAddr(r.name(hop))
		r.awaitRoute(prefix, fmt.Sprintf("by way of %s", hop), func(route routertest.Route) bool { return route.NextHop == hop })
	}
	if r.kind.Kernel {
		r.has(want)
	}
}

// loses waits until the router has no route to a prefix any more.
func (r *anyRouter) loses(prefixes ...string) {
	r.t.Helper()
	for _, prefix := range prefixes {
		eventually(r.t, "no route to "+prefix, func() (bool, any) {
			route, has, err := r.route(prefix)
			return err == nil && !has, fmt.Sprintf("%+v, %v", route, err)
		})
	}
}

// speaks has a Speaker run that announces these routes to the router.
func (r *anyRouter) speaks(routes []bgp.Route) (s *Speaker, stop func()) {
	r.t.Helper()
	s = newSpeaker(r.t, false)
	stop = run(r.t, s)
	s.Set(alone(r.peer), say(routes))
	return s, stop
}
