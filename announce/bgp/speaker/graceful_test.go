package speaker

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/bgp"
)

// losses follows which routes by BGP the kernel of a router loses, until the test ends.
type losses struct {
	mu   sync.Mutex
	lost []netip.Prefix
}

func (h *host) losses() *losses {
	h.t.Helper()
	l := &losses{}
	var reading sync.WaitGroup
	h.t.Cleanup(reading.Wait) // after the changes have ended
	changes := h.changes()
	reading.Go(func() {
		for u := range changes {
			if u.Type == unix.RTM_DELROUTE {
				l.mu.Lock()
				l.lost = append(l.lost, prefixOf(u.Route))
				l.mu.Unlock()
			}
		}
	})
	return l
}

func (l *losses) none(t *testing.T) {
	t.Helper()
	l.only(t)
}

// only fails if the router's kernel has lost routes to other prefixes than these.
func (l *losses) only(t *testing.T, prefixes ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lost := range l.lost {
		if !slices.Contains(prefixes, lost.String()) {
			t.Errorf("the router's kernel lost %v", l.lost)
			return
		}
	}
}

// graceful is a Peer that has the router keep routes for longer than any test takes.
func (r *router) graceful() bgp.Peer {
	p := r.peer()
	p.RestartTime = bgp.MaxRestartTime
	return p
}

// reestablished waits for the n-th session, as the router sees it, to have told everything.
func (r *router) reestablished(n int) {
	r.t.Helper()
	eventually(r.t, "another session", func() (bool, any) {
		seen := r.neighbor(r.node4.String())
		return seen.State == "Established" && seen.Established == n && seen.GracefulRestart.EndOfRIB["ipv4Unicast"] && seen.GracefulRestart.EndOfRIB["ipv6Unicast"], seen
	})
}

func TestARestartLeavesTheRoutersKernelUntouched(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.has(want)
	r.reestablished(1)
	losses := r.losses()
	stop()
	eventually(t, "the routes are stale", func() (bool, any) {
		p := r.path("198.51.100.1/32")
		return p.Stale, p
	})
	s = newSpeaker(t, true)
	run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.reestablished(2)
	r.has(want)
	losses.none(t)
}

func TestARouteThatIsGoneAfterARestartLeavesTheRouter(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	stop()
	s = newSpeaker(t, true)
	run(t, s)
	s.Set(alone(r.graceful()), say(both[:1]))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
}

func TestAStartAfterABootDoesNotHaveOldRoutesUsed(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	stop()
	s = newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.graceful()), nil)
	r.reestablished(2)
	r.has(nil)
	if r.neighbor(r.node4.String()).GracefulRestart.Restart {
		t.Error("the node said that it can still forward")
	}
}

func TestRoutersAreToldOfTheStopOfANodeThatWillNotBeBackSoon(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	s.SetShutdownMessage("node-7 is shut down")
	stop()
	r.has(nil)
	if n := r.neighbor(r.node4.String()); n.LastNotification != "Cease/Administrative Shutdown" || n.LastShutdown != "node-7 is shut down" {
		t.Errorf("%+v", n)
	}
}

func TestRoutersThatDoNotKeepRoutesAreToldOfTheStop(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.peer()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	stop()
	r.has(nil)
	if n := r.neighbor(r.node4.String()); n.LastNotification != "Cease/Administrative Shutdown" || n.LastShutdown != "stopped" {
		t.Errorf("%+v", n)
	}
}

func TestASpeakerThatStartsAgainAndAgainDoesNotTakeRoutesAway(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.has(want)
	losses := r.losses()
	for range 3 {
		// It ends before it knows what to announce.
		stop()
		stop = run(t, newSpeaker(t, true))
	}
	stop()
	s = newSpeaker(t, true)
	run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.reestablished(2)
	r.has(want)
	losses.none(t)
}

func TestAChangeOfTimersOrPasswordLeavesTheRoutersKernelUntouched(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.graceful()
	s.Set(alone(p), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	r.reestablished(1)
	losses := r.losses()
	p.HoldTime = 2 * calmHoldTime
	s.Set(alone(p), say(both))
	r.reestablished(2)
	losses.none(t)
}

func TestAConnectionThatBreaksLeavesTheRoutersKernelUntouched(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	r.reestablished(1)
	losses := r.losses()
	must(t, nft(r.name("table inet broken { chain in { type filter hook input priority 0; ip saddr ROUTER tcp sport 179 reject with tcp reset; }; }")))
	eventually(t, "a lost session", func() (bool, any) {
		p := status(s, "tor")
		return p.State != bgp.Established && p.Flaps == 1, p
	})
	must(t, nft("delete table inet broken"))
	r.reestablished(2)
	losses.none(t)
	if r.neighbor(r.node4.String()).GracefulRestart.Restart {
		t.Error("the node said that it has restarted")
	}
}

func TestRoutesThatLeaveAskForOtherWays(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	communities := []uint32{65000<<16 | 7}
	s.Set(alone(r.peer()), say(append(routes(&bgp.Attributes{Communities: communities}, "198.51.100.1/32"), routes(nil, "198.51.100.2/32")...)))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "198.51.100.2/32": "NODE"})
	losses := r.losses()
	s.Set(alone(r.peer()), say(append(routes(&bgp.Attributes{Communities: communities, Leaving: true}, "198.51.100.1/32"), routes(&bgp.Attributes{Leaving: true}, "198.51.100.2/32")...)))
	for prefix, community := range map[string]string{"198.51.100.1/32": "65000:7 graceful-shutdown", "198.51.100.2/32": "graceful-shutdown"} {
		eventually(t, "the graceful shutdown of "+prefix, func() (bool, any) {
			p := r.path(prefix)
			return p.Community.String == community && p.LocalPref != nil && *p.LocalPref == 0, p
		})
	}
	losses.none(t)
}

func TestTheRoutesOfANodeThatDoesNotComeBackGoWhenTheRestartTimeEnds(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	stop := run(t, s)
	p := r.graceful()
	p.RestartTime = 2 * time.Second
	s.Set(alone(p), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	r.reestablished(1)
	stop()
	r.has(nil)
}

// TestTheRoutesOfADeadNodeGoWhenTheHoldTimeEnds shows that a router keeps no routes then, although
// it would for a restart.
func TestTheRoutesOfADeadNodeGoWhenTheHoldTimeEnds(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	eth := interfaceOf(t, r.node4).Attrs().Name
	must(t, nft("table inet dead { chain in { type filter hook input priority 0; iifname "+eth+" drop; }; chain out { type filter hook output priority 0; oifname "+eth+" drop; }; }"))
	t.Cleanup(func() { must(t, nft("delete table inet dead")) })
	r.has(nil)
	eventually(t, "a lost session", func() (bool, any) {
		p := status(s, "tor")
		return p.State != bgp.Established && p.Flaps == 1, p
	})
}

func TestARouterThatIsLeftIsToldWhy(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	// It keeps no routes either, although it would for a restart.
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	s.SetCloseReason("maintenance of node-7")
	s.Set(nil, nil)
	r.has(nil)
	eventually(t, "the reason", func() (bool, any) {
		n := r.neighbor(r.node4.String())
		return n.LastNotification == "Cease/Administrative Shutdown" && n.LastShutdown == "maintenance of node-7", n
	})
	if peers := s.Peers(); len(peers) != 0 {
		t.Errorf("still peers: %+v", peers)
	}
}
