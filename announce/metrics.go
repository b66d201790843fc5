package announce

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarionlb/clarion/announce/layer2"
)

const metricsNamespace = "clarion_announcer"

// metrics are those of the loop.
type metrics struct {
	addresses, proxied, relayed prometheus.Gauge
	members                     *prometheus.GaugeVec
	moves, conflicts, panics    *prometheus.CounterVec
	pauses                      prometheus.Counter
	detection, planDuration     prometheus.Histogram
}

// newMetrics returns metrics that a registry has been told of.
func newMetrics(registry prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: metricsNamespace, Name: name, Help: help}
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: metricsNamespace, Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		addresses: prometheus.NewGauge(gauge("layer2_addresses", "Addresses that this node answers for on layer 2.")),
		proxied: prometheus.NewGauge(gauge("layer2_proxied_addresses",
			"Addresses that this node answers for in the place of nodes whose announcer is down for a moment.")),
		relayed: prometheus.NewGauge(gauge("layer2_relayed_addresses",
			"Addresses of which this node relays connections that began on another node to that one.")),
		members: prometheus.NewGaugeVec(gauge("members",
			"Announcers in sight (alive) and how many there should be (expected), this one included."), []string{"state"}),
		moves: counter("layer2_moves_total",
			"Addresses that came to this node or left it, by direction (gained, lost) and reason.", "direction", "reason"),
		conflicts: counter("layer2_conflicts_total",
			"Packets of others that spoke for an address of this node, by who sent them: another announcer (member) or a conflicting host (host).", "by"),
		panics: counter("panics_total",
			"Faults of the program that were kept to the object, packet or session that they happened on, by component. "+
				"The log has each place in the program once a minute, with a stack.", "component"),
		pauses: prometheus.NewCounter(prometheus.CounterOpts{Namespace: metricsNamespace, Name: "pauses_total",
			Help: "How often the announcer did not run for so long that others may have taken it for dead."}),
		detection: histogram("failure_detection_seconds",
			"Time from the last sign of life of a node, a heartbeat or an answer to the gossip, until it was taken for dead.",
			[]float64{.1, .2, .3, .4, .5, .6, .8, 1, 1.5, 2, 5, 15, 60, 120}),
		planDuration: histogram("plan_duration_seconds",
			"Time that it took to decide what this node announces on layer 2 after a change.", prometheus.ExponentialBuckets(1e-5, 4, 9)),
	}
	registry.MustRegister(m.addresses, m.proxied, m.relayed, m.members, m.moves, m.conflicts, m.panics, m.pauses, m.detection, m.planDuration)
	return m
}

// registerPackets has the packets counted that go over the wire.
func registerPackets(registry prometheus.Registerer, responder *layer2.Responder, prober *layer2.Prober) {
	for _, c := range []struct {
		name, help string
		counts     func() layer2.Counts
	}{
		{"layer2_answers_total", "ARP replies and solicited neighbour advertisements sent, by protocol (arp, ndp).", responder.Answered},
		{"layer2_announcements_total", "Gratuitous ARP packets and unsolicited neighbour advertisements sent, by protocol (arp, ndp).", responder.Announced},
		{"layer2_questions_total", "ARP requests and neighbour solicitations sent, probes included, by protocol (arp, ndp).", prober.Asked},
	} {
		for protocol, count := range map[string]func() uint64{
			"arp": func() uint64 { return c.counts().ARP },
			"ndp": func() uint64 { return c.counts().NDP },
		} {
			registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Namespace:   metricsNamespace,
				Name:        c.name,
				Help:        c.help,
				ConstLabels: prometheus.Labels{"protocol": protocol},
			}, func() float64 { return float64(count()) }))
		}
	}
}
