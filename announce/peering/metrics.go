package peering

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
)

// peeringMetrics reports what is seen on BGP sessions and on their paths, at the time when it is asked.
type peeringMetrics struct {
	// speakers are nil while Peering does not run.
	speakers atomic.Pointer[speakers]
	refused  atomic.Pointer[[]plan.Refusal]
	watched  atomic.Pointer[map[bgp.SessionKey]bfdPath]

	up, problem, prefixes, unsent, updates, lost *prometheus.Desc
	pathUp, pathFailures, pathDetection, packets *prometheus.Desc
	silence                                      prometheus.Histogram
}

// speakers are asked for what is reported.
type speakers struct {
	bgp bgpSpeaker
	bfd bfdSpeaker
}

func newPeeringMetrics() *peeringMetrics {
	describe := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("clarion_announcer_"+name, help, append([]string{"peer", "address"}, more...), nil)
	}
	return &peeringMetrics{
		up: describe("bgp_session_up", "Whether there is a session with a router, by BGPPeer and address."),
		problem: describe("bgp_session_problem", "1 for what went wrong last while there is no session, or is wrong with the one that there is: "+
			"one of a few sentences, or the reason why the node has no session.", "problem"),
		prefixes: describe("bgp_prefixes", "Prefixes that are announced to a router."),
		unsent: describe("bgp_prefixes_unsent", "Prefixes that should be announced to a router and cannot be, because it does not carry "+
			"their family or they have no next hop, by family (IPv4, IPv6).", "family"),
		updates: describe("bgp_updates_total", "UPDATE messages that were sent to a router."),
		lost:    describe("bgp_sessions_lost_total", "How often a session with a router was lost."),

		pathUp:        describe("bfd_session_up", "Whether BFD is up on the path to a router, by BGPPeer with a BFDProfile and address."),
		pathFailures:  describe("bfd_failures_total", "How often a session with a router was given up because BFD went down."),
		pathDetection: describe("bfd_detection_time_seconds", "How long a router may be silent before the path to it counts as dead."),
		packets:       describe("bfd_packets_total", "BFD packets of the path to a router, by direction (sent, received, refused).", "direction"),
		silence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "clarion_announcer_bfd_silence_seconds",
			Help:    "How long a router had been silent when the path to it was given up.",
			Buckets: []float64{.03, .06, .1, .15, .2, .3, .4, .6, 1, 2, 3, 10, 60},
		}),
	}
}

// watchSpeakers has the sessions of these reported from now on; nil for none.
func (m *peeringMetrics) watchSpeakers(sessions bgpSpeaker, paths bfdSpeaker) {
	m.watched.Store(nil)
	m.refused.Store(nil)
	if sessions == nil {
		m.speakers.Store(nil)
		return
	}
	m.speakers.Store(&speakers{sessions, paths})
}

// refuse has these BGPPeers reported too, with which there are to be no sessions.
func (m *peeringMetrics) refuse(refused []plan.Refusal) { m.refused.Store(&refused) }

// watchPaths has the paths of these sessions reported. The map is not modified any more.
func (m *peeringMetrics) watchPaths(watched map[bgp.SessionKey]bfdPath) { m.watched.Store(&watched) }

// Describe is part of prometheus.Collector.
func (m *peeringMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.problem, m.prefixes, m.unsent, m.updates, m.lost, m.pathUp, m.pathFailures, m.pathDetection, m.packets} {
		to <- d
	}
	m.silence.Describe(to)
}

// Collect is part of prometheus.Collector.
func (m *peeringMetrics) Collect(to chan<- prometheus.Metric) {
	m.silence.Collect(to)
	speakers := m.speakers.Load()
	if speakers == nil {
		return
	}
	m.collectSessions(speakers.bgp.Peers(), to)
	if refused := m.refused.Load(); refused != nil {
		for _, r := range *refused {
			to <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, 0, r.Peer, "")
			to <- prometheus.MustNewConstMetric(m.problem, prometheus.GaugeValue, 1, r.Peer, "", string(r.Reason))
		}
	}
	if watched := m.watched.Load(); watched != nil {
		m.collectPaths(speakers.bfd.Sessions(), *watched, to)
	}
}

func (m *peeringMetrics) collectSessions(peers []bgp.PeerStatus, to chan<- prometheus.Metric) {
	for _, p := range peers {
		peer, address := p.Key.Peer, ""
		switch {
		case p.Address.IsValid():
			address = p.Address.String()
		case p.Key.Gateway.IsValid():
			address = p.Key.Gateway.String()
		}
		for _, s := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value float64
		}{
			{m.up, prometheus.GaugeValue, number(p.State == bgp.Established)},
			{m.prefixes, prometheus.GaugeValue, float64(p.Prefixes)},
			{m.updates, prometheus.CounterValue, float64(p.Updates)},
			{m.lost, prometheus.CounterValue, float64(p.Flaps)},
		} {
			to <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value, peer, address)
		}
		for family, count := range map[string]int{"IPv4": p.Unsent.IPv4, "IPv6": p.Unsent.IPv6} {
			to <- prometheus.MustNewConstMetric(m.unsent, prometheus.GaugeValue, float64(count), peer, address, family)
		}
		if problem := p.Problem.Summary(); problem != "" {
			to <- prometheus.MustNewConstMetric(m.problem, prometheus.GaugeValue, 1, peer, address, problem)
		}
	}
}

func (m *peeringMetrics) collectPaths(statuses []bfd.Status, watched map[bgp.SessionKey]bfdPath, to chan<- prometheus.Metric) {
	paths := map[string]bfd.Status{}
	for _, path := range statuses {
		paths[path.Name] = path
	}
	for key, w := range watched {
		if !w.address.IsValid() {
			continue // it has not been found, so nothing can be said about it
		}
		peer, address := key.Peer, w.address.String()
		path, there := paths[w.path.String()]
		to <- prometheus.MustNewConstMetric(m.pathUp, prometheus.GaugeValue, number(path.State == bfd.Up), peer, address)
		to <- prometheus.MustNewConstMetric(m.pathFailures, prometheus.CounterValue, float64(w.failures), peer, address)
		if !there {
			continue
		}
		to <- prometheus.MustNewConstMetric(m.pathDetection, prometheus.GaugeValue, path.Detection.Seconds(), peer, address)
		for direction, count := range map[string]uint64{"sent": path.Sent, "received": path.Received, "refused": path.Refused} {
			to <- prometheus.MustNewConstMetric(m.packets, prometheus.CounterValue, float64(count), peer, address, direction)
		}
	}
}

// number is 1 for what is so.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
