package peering

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/bgp/speaker"
	"github.com/clarionlb/clarion/announce/plan"
)

// diary writes down the events.
type diary struct{ entries []string }

func (d *diary) write(what, peer string, address netip.Addr, why string) {
	d.entries = append(d.entries, strings.TrimSpace(what+" "+peer+" "+address.String()+" "+why))
}

func (d *diary) SessionEstablished(peer string, address netip.Addr) {
	d.write("established", peer, address, "")
}
func (d *diary) SessionLost(peer string, address netip.Addr, why string) {
	d.write("lost", peer, address, why)
}
func (d *diary) SessionClosed(peer string, address netip.Addr, why string) {
	d.write("closed", peer, address, why)
}
func (d *diary) BFDUp(peer string, address netip.Addr) { d.write("BFD up", peer, address, "") }
func (d *diary) BFDDown(peer string, address netip.Addr, why string) {
	d.write("BFD down", peer, address, why)
}

// newReporter is the Peering of n1, and what it has told by events.
func newReporter() (*Peering, *diary) {
	told := &diary{}
	return &Peering{node: "n1", events: told, coupling: newCoupling(false)}, told
}

// gateway is the key of a session with a router of a default route.
func gateway(peer, address string) bgp.SessionKey {
	return bgp.SessionKey{Peer: peer, Gateway: netip.MustParseAddr(address)}
}

func TestSessionsThatComeAndGoAreEvents(t *testing.T) {
	r, told := newReporter()
	tor := bgp.PeerStatus{Key: gateway("tor", "10.0.0.1"), Address: netip.MustParseAddr("10.0.0.1"), State: bgp.Connect}
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(told.entries, want) {
			t.Errorf("told %q, want %q", told.entries, want)
		}
		told.entries = nil
	}
	see := func(state bgp.State, problem bgp.Problem) {
		tor.State, tor.Problem = state, problem
		r.reportSessions([]bgp.PeerStatus{tor})
	}
	see(bgp.Connect, bgp.Problem{Kind: bgp.NoConnection, Detail: "refused"})
	expect()
	see(bgp.Established, bgp.Problem{})
	expect("established tor 10.0.0.1")
	see(bgp.Established, bgp.Problem{Kind: bgp.NoNextHop, Families: bgp.IPv6})
	expect()
	see(bgp.Idle, bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 4}})
	expect("lost tor 10.0.0.1 the router closed the session: Cease/Administrative Reset")
	see(bgp.OpenSent, bgp.Problem{})
	expect()
	see(bgp.Established, bgp.Problem{})
	told.entries = nil
	r.reportSessions(nil)
	expect("closed tor 10.0.0.1 it is not wanted any more")
	see(bgp.Established, bgp.Problem{})
	told.entries = nil
	r.draining = true
	r.reportSessions(nil)
	expect("closed tor 10.0.0.1 the node is drained")
}

func TestAnAnnouncerRecordsItsSessions(t *testing.T) {
	r, _ := newReporter()
	r.bootID = "boot"
	r.refused = []plan.Refusal{{Peer: "a", Sentence: "there is no Secret"}}
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	status := r.status([]bgp.PeerStatus{
		{Key: gateway("tor", "10.0.0.2"), Address: netip.MustParseAddr("10.0.0.2"), State: bgp.OpenSent, Since: since, Problem: bgp.Problem{Kind: bgp.NoOpen}},
		{Key: gateway("tor", "10.0.0.1"), Address: netip.MustParseAddr("10.0.0.1"), State: bgp.Established, Since: since, Prefixes: 7},
		{Key: bgp.SessionKey{Peer: "found"}, State: bgp.Connect},
	}, since)
	var got []string
	for _, s := range status.Peers {
		text := fmt.Sprintf("%s %s %s %d %s", s.Name, s.Address, s.State, s.Prefixes, s.LastError)
		if s.Since != nil {
			text += " since " + s.Since.UTC().Format(time.RFC3339Nano)
		}
		got = append(got, text)
	}
	want := []string{
		"a  Refused 0 there is no Secret",
		"found  Connecting 0 ",
		"tor 10.0.0.1 Established 7  since 2026-01-02T03:04:05Z",
		"tor 10.0.0.2 Connecting 0 the router accepts connections and says nothing since 2026-01-02T03:04:05Z",
	}
	if !slices.Equal(got, want) || status.BootID != "boot" {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestMetricsTellOfSessionsAndOfThoseThatAreRefused(t *testing.T) {
	m := newPeeringMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	expect := func(want ...string) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				if metric.GetHistogram() != nil {
					continue
				}
				text := f.GetName()
				for _, l := range metric.GetLabel() {
					text += fmt.Sprintf(" %s=%q", l.GetName(), l.GetValue())
				}
				got = append(got, fmt.Sprintf("%s %g", text, metric.GetGauge().GetValue()+metric.GetCounter().GetValue()))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("metrics\n%q\nwant\n%q", got, want)
		}
	}
	expect()

	// A router without an address is never dialled.
	speaker := speaker.New(speaker.Config{})
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- speaker.Run(ctx) }()
	speaker.Set(map[bgp.SessionKey]bgp.Peer{gateway("tor", "192.0.2.1"): {}}, nil)
	for speaker.Peers()[0].Problem.Kind == bgp.NoProblem {
		<-speaker.Changed()
	}
	m.see(speaker, bfd.NewSpeaker())
	m.refuse([]plan.Refusal{{Peer: "secret", Sentence: "there is no Secret clarion-system/tor"}})
	expect(
		`clarion_announcer_bgp_prefixes address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_session_problem address="" peer="secret" problem="there is no Secret clarion-system/tor" 1`,
		`clarion_announcer_bgp_session_problem address="192.0.2.1" peer="tor" problem="neither an address nor an interface to find the router on" 1`,
		`clarion_announcer_bgp_session_up address="" peer="secret" 0`,
		`clarion_announcer_bgp_session_up address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_sessions_lost_total address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_updates_total address="192.0.2.1" peer="tor" 0`,
	)
	m.see(nil, nil)
	expect()
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
