package announce

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/bgp"
)

// sessionMetrics reports what is seen on BGP sessions at the time when it is asked.
type sessionMetrics struct {
	speaker                     atomic.Pointer[bgp.Speaker]
	up, prefixes, updates, lost *prometheus.Desc
}

func newSessionMetrics() *sessionMetrics {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(metricsNamespace+"_bgp_"+name, help, []string{"peer", "address"}, nil)
	}
	return &sessionMetrics{
		up:       describe("session_up", "Whether there is a session with a router, by BGPPeer and address."),
		prefixes: describe("prefixes", "Prefixes that are announced to a router."),
		updates:  describe("updates_total", "UPDATE messages that were sent to a router."),
		lost:     describe("sessions_lost_total", "How often a session with a router was lost."),
	}
}

// see has the sessions of a Speaker reported from now on; nil for none.
func (m *sessionMetrics) see(speaker *bgp.Speaker) { m.speaker.Store(speaker) }

// Describe is part of prometheus.Collector.
func (m *sessionMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.prefixes, m.updates, m.lost} {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *sessionMetrics) Collect(to chan<- prometheus.Metric) {
	speaker := m.speaker.Load()
	if speaker == nil {
		return
	}
	for _, p := range speaker.Peers() {
		address, up := "", 0.0
		if p.Address.IsValid() {
			address = p.Address.String()
		}
		if p.State == bgp.Established {
			up = 1
		}
		for _, s := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value float64
		}{
			{m.up, prometheus.GaugeValue, up},
			{m.prefixes, prometheus.GaugeValue, float64(p.Prefixes)},
			{m.updates, prometheus.CounterValue, float64(p.Updates)},
			{m.lost, prometheus.CounterValue, float64(p.Flaps)},
		} {
			to <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value, peerOf(p.Name), address)
		}
	}
}
