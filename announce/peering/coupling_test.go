package peering

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
)

var tor = bgp.SessionKey{Peer: "tor"}

// crossing is a node and its routers, as a coupling sees them. What it decides is carried out at
// once: sessions of BFD are there from the moment on at which they are wanted.
type crossing struct {
	*coupling
	seen  observation
	paths map[string]bfd.Status
	did   actions
}

func newCrossing(restarted bool) *crossing {
	return &crossing{
		coupling: newCoupling(restarted),
		paths:    map[string]bfd.Status{},
		seen: observation{
			now:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			peers:    map[bgp.SessionKey]bgp.Peer{},
			bfd:      map[bgp.SessionKey]plan.BFDSettings{},
			networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		},
	}
}

// peer is an external one.
func (c *crossing) peer(name, address string, detection plan.BFDSettings, change func(*bgp.Peer)) {
	p := bgp.Peer{LocalASN: 65001, PeerASN: 65000}
	if address != "" {
		p.Address = netip.MustParseAddr(address)
	}
	if change != nil {
		change(&p)
	}
	key := bgp.SessionKey{Peer: name}
	c.seen.peers[key], c.seen.bfd[key] = p, detection
	c.session(name, bgp.Connect)
}

func (c *crossing) session(name string, state bgp.State) {
	key := bgp.SessionKey{Peer: name}
	c.seen.sessions = slices.DeleteFunc(c.seen.sessions, func(s bgp.PeerStatus) bool { return s.Key == key })
	c.seen.sessions = append(c.seen.sessions, bgp.PeerStatus{Key: key, Address: c.seen.peers[key].Address, State: state})
}

// path changes what is seen of a session of BFD.
func (c *crossing) path(name string, change func(*bfd.Status)) {
	status := c.paths[name]
	change(&status)
	c.paths[name] = status
}

func (c *crossing) comesUp(name string) {
	c.path(name, func(s *bfd.Status) {
		s.State, s.RemoteState, s.Detection, s.Diagnostic = bfd.Up, bfd.Up, 300*time.Millisecond, bfd.NoDiagnostic
	})
}

// dies is what a path does of which nothing is heard any more.
func (c *crossing) dies(name string) {
	c.path(name, func(s *bfd.Status) {
		s.State, s.Diagnostic, s.Detection, s.LastDetection = bfd.Down, bfd.DetectionTimeExpired, 0, 300*time.Millisecond
		s.Failures++
	})
}

// observe returns what is done, as text.
func (c *crossing) observe() string {
	c.seen.paths = slices.Collect(maps.Values(c.paths))
	c.did = c.coupling.decide(c.seen)
	watched := map[string]bool{}
	for path := range c.did.sessions {
		watched[path.String()] = true
	}
	maps.DeleteFunc(c.paths, func(name string, _ bfd.Status) bool { return !watched[name] })
	for name := range watched {
		c.path(name, func(s *bfd.Status) {
			if s.Name == "" {
				s.Name, s.State, s.RemoteState = name, bfd.Down, bfd.Down
			}
		})
	}
	said := []string{"watches " + strings.Join(slices.Sorted(maps.Keys(watched)), ", ")}
	for what, keys := range map[string]map[bgp.SessionKey]bgp.Problem{"holds": c.did.suspended, "breaks": c.did.reset} {
		for key, why := range keys {
			said = append(said, fmt.Sprintf("%s %s: %s", what, key, why))
		}
	}
	slices.Sort(said[1:])
	return strings.TrimSpace(strings.Join(said, "; "))
}

func (c *crossing) expect(t *testing.T, when, want string) {
	t.Helper()
	if got := c.observe(); got != strings.TrimSpace("watches "+want) {
		t.Errorf("%s: it\n%s, want\nwatches %s", when, got, want)
	}
}

func TestBFDBeginsAndEndsWithTheSessionAndItsFailureEndsThat(t *testing.T) {
	c := newCrossing(false)
	c.peer("tor", "192.0.2.1", plan.BFDSettings{}, nil)
	c.expect(t, "before there is a session", "")
	c.session("tor", bgp.Established)
	c.expect(t, "with a session", "192.0.2.1")
	c.comesUp("192.0.2.1")
	c.expect(t, "when BFD is up", "192.0.2.1")
	if !slices.Equal(c.did.up, []bgp.SessionKey{tor}) {
		t.Errorf("%v came up", c.did.up)
	}
	c.dies("192.0.2.1")
	c.expect(t, "when the path dies", "192.0.2.1; breaks tor: BFD heard nothing from the router for 300ms")
	c.expect(t, "until the session has been given up", "192.0.2.1")
	c.session("tor", bgp.Idle)
	c.expect(t, "without a session", "")
	c.session("tor", bgp.Established)
	c.expect(t, "with another session", "192.0.2.1")
	c.dies("192.0.2.1")
	c.expect(t, "when the path dies again", "192.0.2.1; breaks tor: BFD heard nothing from the router for 300ms")
	if w := c.watched[tor]; w.failures != 2 {
		t.Errorf("it counts %d failures", w.failures)
	}
}

func TestAPathThatHasComeBackMeanwhileWasDeadNevertheless(t *testing.T) {
	c := newCrossing(false)
	c.peer("tor", "192.0.2.1", plan.BFDSettings{}, nil)
	c.session("tor", bgp.Established)
	c.observe()
	c.comesUp("192.0.2.1")
	c.observe()
	c.dies("192.0.2.1")
	c.path("192.0.2.1", func(s *bfd.Status) {
		s.Diagnostic, s.RemoteDiagnostic = bfd.NeighborSignaledDown, bfd.DetectionTimeExpired
	})
	c.comesUp("192.0.2.1")
	c.expect(t, "when it is up again", "192.0.2.1; breaks tor: BFD of the router went down: control detection time expired")
}

func TestARouterThatShutsBFDDownIsNotDead(t *testing.T) {
	for _, strict := range []bool{false, true} {
		c := newCrossing(false)
		c.peer("tor", "192.0.2.1", plan.BFDSettings{Strict: strict}, nil)
		c.session("tor", bgp.Established)
		c.observe()
		c.comesUp("192.0.2.1")
		c.observe()
		c.path("192.0.2.1", func(s *bfd.Status) { s.State, s.RemoteState = bfd.Down, bfd.AdminDown })
		c.expect(t, "when it does", "192.0.2.1")
		if got := c.status(tor, c.seen.now); got.State != "Down" || got.LastError != "the router has shut BFD down" {
			t.Errorf("it reports %+v", got)
		}
	}
}

func TestAStrictSessionWaitsForBFD(t *testing.T) {
	c := newCrossing(false)
	c.peer("tor", "192.0.2.1", plan.BFDSettings{Strict: true}, nil)
	c.expect(t, "at first", "192.0.2.1; holds tor: BFD is not up yet")
	c.path("192.0.2.1", func(s *bfd.Status) { s.Err = bfd.ErrPortTaken })
	c.expect(t, "when it cannot be", "192.0.2.1; holds tor: BFD is not up: "+bfd.ErrPortTaken.Error())
	c.path("192.0.2.1", func(s *bfd.Status) { s.Err = nil })
	c.comesUp("192.0.2.1")
	c.expect(t, "when BFD is up", "192.0.2.1")
	c.session("tor", bgp.Established)
	c.observe()
	c.dies("192.0.2.1")
	c.expect(t, "when the path dies",
		"192.0.2.1; breaks tor: BFD heard nothing from the router for 300ms; holds tor: BFD is not up yet")
}

func TestAStrictSessionWithARouterThatIsStillToBeFoundWaits(t *testing.T) {
	c := newCrossing(false)
	c.peer("tor", "", plan.BFDSettings{Strict: true}, nil)
	c.expect(t, "at first", "; holds tor: BFD comes first")
	c.seen.sessions[0].Address = netip.MustParseAddr("fe80::1%eth0")
	c.expect(t, "when it has been found", "fe80::1%eth0; holds tor: BFD is not up yet")
}

func TestAfterARestartBFDIsFirstWhereTheRouterHasKeptRoutes(t *testing.T) {
	graceful := func(p *bgp.Peer) { p.RestartTime = time.Minute }
	const first = "192.0.2.1; holds tor: BFD comes first, since the router may not have noticed the restart"
	restarted := func() *crossing {
		c := newCrossing(true)
		c.peer("tor", "192.0.2.1", plan.BFDSettings{}, graceful)
		c.expect(t, "at first", first)
		return c
	}

	c := restarted()
	c.comesUp("192.0.2.1")
	c.expect(t, "when BFD is up", "192.0.2.1")
	c.session("tor", bgp.Established)
	c.expect(t, "with a session", "192.0.2.1")
	c.session("tor", bgp.Idle)
	c.expect(t, "after that, as ever", "")

	c = restarted()
	end := c.seen.now.Add(900*time.Millisecond + gatePatience)
	if c.did.wake != end {
		t.Errorf("it wakes at %s, want %s", c.did.wake, end)
	}
	c.seen.now = end
	c.expect(t, "when the router keeps silent", "192.0.2.1")

	c = restarted()
	c.path("192.0.2.1", func(s *bfd.Status) { s.Err = bfd.ErrNotListening })
	c.expect(t, "when the router does not know BFD", "192.0.2.1")

	c = newCrossing(true)
	c.peer("tor", "192.0.2.1", plan.BFDSettings{}, nil)
	c.expect(t, "where the router keeps nothing", "")

	c = newCrossing(true)
	c.observe()
	c.peer("tor", "192.0.2.1", plan.BFDSettings{}, graceful)
	c.expect(t, "for a router that has come later", "")
}

func TestSessionsWithOneRouterShareItsPath(t *testing.T) {
	c := newCrossing(false)
	c.peer("a", "192.0.2.1", plan.BFDSettings{Transmit: time.Second, Age: 2}, func(p *bgp.Peer) { p.Port = 1790 })
	c.peer("b", "192.0.2.1", plan.BFDSettings{Transmit: time.Minute, Age: 1}, nil)
	c.peer("c", "192.0.2.1", plan.BFDSettings{}, func(p *bgp.Peer) { p.Source = netip.MustParseAddr("192.0.2.9") })
	for _, name := range []string{"a", "b", "c"} {
		c.session(name, bgp.Established)
	}
	c.expect(t, "with three sessions", "192.0.2.1, 192.0.2.1 from 192.0.2.9")
	if got := c.did.sessions[pathKey{peer: netip.MustParseAddr("192.0.2.1")}]; got.Transmit != time.Minute {
		t.Errorf("the younger BGPPeer decides: %+v", got)
	}
	c.comesUp("192.0.2.1")
	c.observe()
	c.dies("192.0.2.1")
	c.expect(t, "when the path dies", "192.0.2.1, 192.0.2.1 from 192.0.2.9; "+
		"breaks a: BFD heard nothing from the router for 300ms; breaks b: BFD heard nothing from the router for 300ms")
}

func TestWhichRoutersAreSeveralHopsAway(t *testing.T) {
	internal := func(p *bgp.Peer) { p.PeerASN = p.LocalASN }
	for _, test := range []struct {
		name, address string
		change        func(*bgp.Peer)
		want          string
	}{
		{"external", "198.51.100.1", nil, "198.51.100.1"},
		{"external, may be far away", "192.0.2.1", func(p *bgp.Peer) { p.MultihopTTL = 255 }, "192.0.2.1 over several hops"},
		{"external, may be two hops away", "192.0.2.1", func(p *bgp.Peer) { p.SecurityHops = 2 }, "192.0.2.1 over several hops"},
		{"external, one hop away", "192.0.2.1", func(p *bgp.Peer) { p.SecurityHops = 1 }, "192.0.2.1"},
		{"internal, near", "192.0.2.1", internal, "192.0.2.1"},
		{"internal, far away", "198.51.100.1", internal, "198.51.100.1 over several hops"},
		{"internal, link-local", "fe80::1%eth0", internal, "fe80::1%eth0"},
	} {
		c := newCrossing(false)
		c.peer("tor", test.address, plan.BFDSettings{}, test.change)
		c.session("tor", bgp.Established)
		c.expect(t, test.name, test.want)
	}
}

func TestABFDProfileThatGoesStaysInForceForTheSessionsThatHaveIt(t *testing.T) {
	c := newCrossing(false)
	const gone = "there is no BFDProfile fast"
	c.peer("tor", "192.0.2.1", plan.BFDSettings{Transmit: time.Second}, nil)
	c.session("tor", bgp.Established)
	c.observe()
	c.comesUp("192.0.2.1")
	c.observe()
	c.seen.bfd[tor] = plan.BFDSettings{Refused: gone}
	c.expect(t, "when it is gone", "192.0.2.1")
	if got := c.did.sessions[pathKey{peer: netip.MustParseAddr("192.0.2.1")}]; got.Transmit != time.Second {
		t.Errorf("it is another session: %+v", got)
	}
	if got := c.status(tor, c.seen.now); got.State != "Up" || got.LastError != gone {
		t.Errorf("it reports %+v", got)
	}
	c.dies("192.0.2.1")
	c.expect(t, "when the path dies", "192.0.2.1; breaks tor: BFD heard nothing from the router for 300ms")
	c.session("tor", bgp.Idle)
	c.expect(t, "when the session is lost", "")
	c.session("tor", bgp.Established)
	c.expect(t, "with another session", "")
	if got := c.status(tor, c.seen.now); got.State != "Refused" || got.LastError != gone {
		t.Errorf("it reports %+v", got)
	}
	c.seen.bfd[tor] = plan.BFDSettings{}
	c.expect(t, "when it is back", "192.0.2.1")
	delete(c.seen.bfd, tor)
	c.expect(t, "when it is not asked for any more", "")
}

func TestWhatIsReportedOfAPath(t *testing.T) {
	c := newCrossing(false)
	began := c.seen.now
	c.peer("tor", "192.0.2.1", plan.BFDSettings{}, nil)
	c.peer("unwatched", "192.0.2.2", plan.BFDSettings{Refused: "there is no BFDProfile fast"}, nil)
	c.session("unwatched", bgp.Established)
	c.observe()
	if got := c.status(tor, c.seen.now); got != nil {
		t.Errorf("without a session: %+v", got)
	}
	if got := c.status(bgp.SessionKey{Peer: "unwatched"}, c.seen.now); got == nil || got.State != "Refused" || got.LastError != "there is no BFDProfile fast" || got.Since != nil {
		t.Errorf("what cannot be watched: %+v", got)
	}
	c.session("tor", bgp.Established)
	c.observe()
	expect := func(when, state, problem string, since time.Time) {
		t.Helper()
		c.observe()
		got := c.status(tor, c.seen.now)
		if got == nil || string(got.State) != state || got.LastError != problem || !got.Since.Time.Equal(since) || (got.DetectionTime != nil) != (state == "Up") {
			t.Errorf("%s: %+v", when, got)
		}
	}
	expect("at first", "Down", "", began)
	if want := began.Add(silencePatience); c.did.wake != want {
		t.Errorf("it wakes at %s, want %s", c.did.wake, want)
	}
	c.seen.now = began.Add(silencePatience)
	expect("when nothing comes", "Down", "the router sends no BFD packets", began)
	c.path("192.0.2.1", func(s *bfd.Status) { s.State, s.Detection = bfd.Init, time.Second })
	expect("when the router does not answer", "Down", "the router does not receive the BFD packets of the node", began)
	c.path("192.0.2.1", func(s *bfd.Status) { s.Err = bfd.ErrTTL })
	expect("when the router is too far away", "Down", bfd.ErrTTL.Error(), began)
	c.comesUp("192.0.2.1")
	c.path("192.0.2.1", func(s *bfd.Status) { s.Err = nil })
	expect("when it is up", "Up", "", c.seen.now)
}
