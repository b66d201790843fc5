package speaker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/routertest"
)

// scenarios are what must go well with routers of every kind.
var scenarios = []struct {
	name string
	// needs says whether a kind can take part. nil is that every kind can.
	needs func(routertest.Kind) bool
	run   func(*testing.T, routertest.Kind)
}{
	{"IPv6 routes over IPv6", nil, ipv6OverIPv6},
	{"both families over IPv4", nil, bothOverIPv4},
	{"both families over IPv6, with RFC 8950", func(k routertest.Kind) bool { return k.ExtendedNextHop }, bothOverIPv6WithExtendedNextHop},
	{"both families over IPv6, without RFC 8950", nil, bothOverIPv6},
	{"attributes", nil, attributes},
	{"a password", signs, password},
	{"a wrong password", signs, wrongPassword},
	{"routes come, change, leave gracefully and go", nil, changes},
	{"a restart of ours", nil, restart},
	{"a drain", nil, drain},
	{"the lower hold time counts", nil, holdTime},
	{"more routes than the router takes", func(k routertest.Kind) bool { return k.MaxPrefixes }, maxPrefixes},
	{"a router that expects another autonomous system", nil, wrongASOfOurs},
	{"a router of another autonomous system", nil, wrongASOfTheirs},
	{"a router that is restarted", nil, routerRestart},
	{"a router that dies and comes back", nil, routerDeath},
}

func signs(kind routertest.Kind) bool { return kind.Password }

func TestEveryKindOfRouterUnderstandsUs(t *testing.T) {
	for _, kind := range routertest.Kinds {
		for _, s := range scenarios {
			if s.needs == nil || s.needs(kind) {
				t.Run(kind.Name+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					s.run(t, kind)
				})
			}
		}
	}
}

func ipv6OverIPv6(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, overIPv6)
	s, _ := r.speaks(routes(nil, "2001:db8:ff::1/128"))
	r.receives(map[string]string{"2001:db8:ff::1/128": "NODE6"})
	keptUp(t, s)
}

func bothOverIPv4(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind)
	s, _ := r.speaks(both)
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	eventually(t, "what the router says of itself", func() (bool, any) {
		p := status(s, "tor")
		return p.State == bgp.Established && p.PeerASN == 65001 && p.PeerID == r.v4 && p.Families == bgp.IPv4|bgp.IPv6 && p.Prefixes == 2 &&
			p.Flaps == 0 && p.Problem.Kind == bgp.NoProblem, p
	})
}

func bothOverIPv6WithExtendedNextHop(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, overIPv6, func(r *anyRouter) { r.neighbor.ExtendedNextHop = true })
	s, _ := r.speaks(both)
	r.receives(map[string]string{"198.51.100.1/32": "NODE6", "2001:db8:ff::1/128": "NODE6"})
	keptUp(t, s)
}

func bothOverIPv6(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, overIPv6)
	s, _ := r.speaks(both)
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	keptUp(t, s)
}

// keptUp fails if there is no session or it is not the first one.
func keptUp(t *testing.T, s *Speaker) {
	t.Helper()
	if p := status(s, "tor"); p.State != bgp.Established || p.Flaps != 0 || p.Problem.Kind != bgp.NoProblem {
		t.Errorf("the session: %+v", p)
	}
}

func attributes(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind)
	a := &bgp.Attributes{
		MED:              ptr(uint32(42)),
		Communities:      []uint32{65000<<16 | 7, 65000<<16 | 8},
		LargeCommunities: []bgp.LargeCommunity{{Global: 65000, Local1: 1, Local2: 2}, {Global: 4200000000, Local1: 3, Local2: 4}},
		Prepend:          2,
		LinkBandwidth:    125_000_000,
	}
	s, _ := r.speaks(append(routes(a, "198.51.100.1/32", "2001:db8:ff::1/128"), routes(nil, "198.51.100.2/32")...))
	for _, prefix := range []string{"198.51.100.1/32", "2001:db8:ff::1/128"} {
		r.awaitRoute(prefix, "with its attributes", func(route routertest.Route) bool {
			return slices.Equal(route.ASPath, []uint32{65000, 65000, 65000}) && route.MED != nil && *route.MED == 42 &&
				slices.Equal(route.Communities, []string{"65000:7", "65000:8"}) && slices.Equal(route.LargeCommunities, []string{"65000:1:2", "4200000000:3:4"})
		})
	}
	r.awaitRoute("198.51.100.2/32", "without attributes", func(route routertest.Route) bool {
		return slices.Equal(route.ASPath, []uint32{65000}) && (route.MED == nil || *route.MED == 0) && len(route.Communities) == 0 && len(route.LargeCommunities) == 0
	})
	keptUp(t, s)
}

func password(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, overIPv6, func(r *anyRouter) { r.neighbor.Password, r.peer.Password = "secret", "secret" })
	r.speaks(both[1:])
	r.receives(map[string]string{"2001:db8:ff::1/128": "NODE6"})
}

func wrongPassword(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.neighbor.Password, r.peer.Password = "right", "wrong" })
	s, _ := r.speaks(both)
	refused(t, s, "tor", "no connection: dial tcp")
	r.peer.Password = "right"
	s.Set(alone(r.peer), say(both))
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
}

func changes(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind)
	s, _ := r.speaks(routes(nil, "198.51.100.1/32", "198.51.100.2/32", "2001:db8:ff::1/128"))
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	losses := r.losses()
	community := []uint32{65000<<16 | 7}
	s.Set(alone(r.peer), say(append(routes(nil, "198.51.100.3/32"), routes(&bgp.Attributes{Communities: community}, "198.51.100.2/32", "2001:db8:ff::1/128")...)))
	r.receives(map[string]string{"198.51.100.2/32": "NODE", "198.51.100.3/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	for _, prefix := range []string{"198.51.100.2/32", "2001:db8:ff::1/128"} {
		r.awaitRoute(prefix, "with a community", func(route routertest.Route) bool { return slices.Equal(route.Communities, []string{"65000:7"}) })
	}
	s.Set(alone(r.peer), say(routes(&bgp.Attributes{Communities: community, Leaving: true}, "198.51.100.2/32", "2001:db8:ff::1/128")))
	for _, prefix := range []string{"198.51.100.2/32", "2001:db8:ff::1/128"} {
		r.awaitRoute(prefix, "that leaves", func(route routertest.Route) bool {
			return slices.Contains(route.Communities, routertest.GracefulShutdown) && slices.Contains(route.Communities, "65000:7")
		})
	}
	r.loses("198.51.100.1/32", "198.51.100.3/32")
	// FRR takes an IPv6 route out of the kernel before it puts the changed one in.
	losses.only(t, "198.51.100.1/32", "198.51.100.3/32", "2001:db8:ff::1/128")
	s.Set(alone(r.peer), nil)
	r.loses("198.51.100.2/32", "2001:db8:ff::1/128")
	keptUp(t, s)
}

// restart ends a Speaker without a word. A router that can keeps the routes until the next Speaker
// has told them again.
func restart(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.peer.RestartTime = bgp.MaxRestartTime })
	s, stop := r.speaks(both)
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.receives(want)
	eventually(t, "word whether the router keeps routes", func() (bool, any) {
		p := status(s, "tor")
		return p.State == bgp.Established && p.GracefulRestart == kind.GracefulRestart, p
	})
	losses := r.losses()
	stop()
	r.awaitSession("no session", func(s routertest.Session) bool { return !s.Established })
	if kind.GracefulRestart {
		r.receives(want)
	} else {
		r.loses("198.51.100.1/32", "2001:db8:ff::1/128")
	}
	s = newSpeaker(t, true)
	run(t, s)
	s.Set(alone(r.peer), say(both[:1]))
	established(t, s, "tor")
	r.loses("2001:db8:ff::1/128")
	r.receives(map[string]string{"198.51.100.1/32": "NODE"})
	losses.only(t, "2001:db8:ff::1/128")
}

func drain(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.peer.RestartTime = bgp.MaxRestartTime })
	s, _ := r.speaks(both)
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	s.SetCloseReason("maintenance of node-7")
	s.Set(nil, nil)
	// It keeps no routes either, although it would for a restart.
	r.loses("198.51.100.1/32", "2001:db8:ff::1/128")
	r.awaitSession("the reason", func(s routertest.Session) bool { return !s.Established && s.ShutdownMessage == "maintenance of node-7" })
}

func holdTime(t *testing.T, kind routertest.Kind) {
	for name, times := range map[string]struct{ ours, theirs time.Duration }{
		"theirs": {30 * time.Second, 9 * time.Second},
		"ours":   {9 * time.Second, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newAnyRouter(t, kind, func(r *anyRouter) { r.peer.HoldTime, r.neighbor.HoldTime = times.ours, times.theirs })
			s, _ := r.speaks(nil)
			established(t, s, "tor")
			r.awaitSession("a hold time of 9 s", func(s routertest.Session) bool { return s.Established && s.HoldTime == 9*time.Second })
		})
	}
}

func maxPrefixes(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.neighbor.MaxPrefixes = 2 })
	s, _ := r.speaks(routes(nil, "198.51.100.1/32", "198.51.100.2/32"))
	r.receives(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE"})
	keptUp(t, s)
	// FRR 8.4 notices with the route after the first one that is too much.
	s.Set(alone(r.peer), say(routes(nil, "198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32", "198.51.100.4/32")))
	eventually(t, "the words of the router", func() (bool, any) {
		p := status(s, "tor")
		return p.State != bgp.Established && p.Flaps == 1 && strings.Contains(p.Problem.String(), "Cease/Maximum Number of Prefixes Reached"), p
	})
}

func wrongASOfOurs(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.neighbor.ASN = 65009 })
	s, _ := r.speaks(nil)
	refused(t, s, "tor", "the router refused the session: OPEN Message Error/Bad Peer AS")
}

func wrongASOfTheirs(t *testing.T, kind routertest.Kind) {
	r := newAnyRouter(t, kind, func(r *anyRouter) { r.peer.PeerASN = 65009 })
	s, _ := r.speaks(nil)
	refused(t, s, "tor", "the router is in autonomous system 65001, and 65009 was expected")
	r.peer.PeerASN = 65001
	s.Set(alone(r.peer), nil)
	established(t, s, "tor")
}

func routerRestart(t *testing.T, kind routertest.Kind) {
	comesBack(t, kind, func(r *anyRouter) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		must(t, r.Stop(ctx))
	})
}

func routerDeath(t *testing.T, kind routertest.Kind) {
	comesBack(t, kind, func(r *anyRouter) { r.Kill() })
}

// comesBack has a router end and start again. It is told everything.
func comesBack(t *testing.T, kind routertest.Kind, end func(*anyRouter)) {
	r := newAnyRouter(t, kind)
	s, _ := r.speaks(both)
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.receives(want)
	end(r)
	eventually(t, "no session, and why", func() (bool, any) {
		p := status(s, "tor")
		return p.State != bgp.Established && p.Flaps == 1 && p.Prefixes == 0 && p.Problem.String() != "", p
	})
	r.start()
	r.receives(want)
	established(t, s, "tor")
}
