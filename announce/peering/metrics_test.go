package peering

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
)

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

	path := bfdPath{path: pathKey{peer: netip.MustParseAddr("192.0.2.2")}, address: netip.MustParseAddr("192.0.2.2"), failures: 2}
	m.watchSpeakers(&fakeBGP{peers: []bgp.PeerStatus{
		{
			Key: gateway("tor", "192.0.2.1"), State: bgp.Connect,
			Problem: bgp.Problem{Kind: bgp.NoConnection, Detail: "dial tcp 10.0.0.2:40123->192.0.2.1:179: connection refused"},
		},
		{
			Key: bgp.SessionKey{Peer: "leaf"}, Address: netip.MustParseAddr("192.0.2.2"), State: bgp.Established,
			Prefixes: 7, Unsent: bgp.PrefixCounts{IPv6: 2}, Updates: 5, Flaps: 1,
		},
	}}, &fakeBFD{statuses: []bfd.Status{
		{Name: "192.0.2.2", State: bfd.Up, Detection: 300 * time.Millisecond, Sent: 3, Received: 4, Refused: 1},
	}})
	m.refuse([]plan.Refusal{{Peer: "secret", Reason: plan.InvalidOnNode, Detail: "there is no Secret clarion-bgp/tor"}})
	m.watchPaths(map[bgp.SessionKey]bfdPath{
		{Peer: "leaf"}:   path,
		{Peer: "sought"}: {}, // it has not been found
	})
	expect(
		`clarion_announcer_bfd_detection_time_seconds address="192.0.2.2" peer="leaf" 0.3`,
		`clarion_announcer_bfd_failures_total address="192.0.2.2" peer="leaf" 2`,
		`clarion_announcer_bfd_packets_total address="192.0.2.2" direction="received" peer="leaf" 4`,
		`clarion_announcer_bfd_packets_total address="192.0.2.2" direction="refused" peer="leaf" 1`,
		`clarion_announcer_bfd_packets_total address="192.0.2.2" direction="sent" peer="leaf" 3`,
		`clarion_announcer_bfd_session_up address="192.0.2.2" peer="leaf" 1`,
		`clarion_announcer_bgp_prefixes address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_prefixes address="192.0.2.2" peer="leaf" 7`,
		`clarion_announcer_bgp_prefixes_unsent address="192.0.2.1" family="IPv4" peer="tor" 0`,
		`clarion_announcer_bgp_prefixes_unsent address="192.0.2.1" family="IPv6" peer="tor" 0`,
		`clarion_announcer_bgp_prefixes_unsent address="192.0.2.2" family="IPv4" peer="leaf" 0`,
		`clarion_announcer_bgp_prefixes_unsent address="192.0.2.2" family="IPv6" peer="leaf" 2`,
		`clarion_announcer_bgp_session_problem address="" peer="secret" problem="InvalidOnNode" 1`,
		`clarion_announcer_bgp_session_problem address="192.0.2.1" peer="tor" problem="no connection" 1`,
		`clarion_announcer_bgp_session_up address="" peer="secret" 0`,
		`clarion_announcer_bgp_session_up address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_session_up address="192.0.2.2" peer="leaf" 1`,
		`clarion_announcer_bgp_sessions_lost_total address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_sessions_lost_total address="192.0.2.2" peer="leaf" 1`,
		`clarion_announcer_bgp_updates_total address="192.0.2.1" peer="tor" 0`,
		`clarion_announcer_bgp_updates_total address="192.0.2.2" peer="leaf" 5`,
	)
	m.watchSpeakers(nil, nil)
	expect()
}
