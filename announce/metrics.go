package announce

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/clarionlb/clarion/announce/layer2"
)

const metricsNamespace = "clarion_announcer"

var (
	addressesMetric = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      metricsNamespace,
		Name:           "layer2_addresses",
		Help:           "Addresses that this node answers for on layer 2.",
		StabilityLevel: metrics.ALPHA,
	})
	movesMetric = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      metricsNamespace,
		Name:           "layer2_moves_total",
		Help:           "Addresses that came to this node or left it, by direction (gained, lost) and reason.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"direction", "reason"})
	membersMetric = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace:      metricsNamespace,
		Name:           "members",
		Help:           "Announcers in sight (alive) and how many there should be (expected), this one included.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"state"})
	proxiedMetric = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      metricsNamespace,
		Name:           "layer2_proxied_addresses",
		Help:           "Addresses that this node answers for in the place of nodes whose announcer is away for a moment.",
		StabilityLevel: metrics.ALPHA,
	})
	relayedMetric = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      metricsNamespace,
		Name:           "layer2_relayed_addresses",
		Help:           "Addresses of which this node relays connections that began on another node to that one.",
		StabilityLevel: metrics.ALPHA,
	})
	conflictsMetric = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      metricsNamespace,
		Name:           "layer2_conflicts_total",
		Help:           "Packets of others that spoke for an address of this node, by who sent them: another announcer (member) or a stranger.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"by"})
	detectionMetric = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace:      metricsNamespace,
		Name:           "failure_detection_seconds",
		Help:           "Time from the last sign of life of a node with addresses until it was taken for gone.",
		Buckets:        []float64{.1, .2, .3, .4, .5, .6, .8, 1, 1.5, 2, 5, 15, 60, 120},
		StabilityLevel: metrics.ALPHA,
	})
	planMetric = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace:      metricsNamespace,
		Name:           "plan_duration_seconds",
		Help:           "Time that it took to decide what this node announces after a change.",
		Buckets:        metrics.ExponentialBuckets(1e-5, 4, 9),
		StabilityLevel: metrics.ALPHA,
	})
)

// registerWire has what goes over the wire counted.
func registerWire(responder *layer2.Responder, prober *layer2.Prober) {
	for _, c := range []struct {
		name, help string
		counts     func() layer2.Counts
	}{
		{"layer2_answers_total", "Requests answered, by protocol.", responder.Answered},
		{"layer2_announcements_total", "Gratuitous ARP packets and unsolicited neighbour advertisements sent, by protocol.", responder.Announced},
		{"layer2_questions_total", "Requests and probes sent, by protocol.", prober.Asked},
	} {
		for protocol, count := range map[string]func() uint64{
			"arp": func() uint64 { return c.counts().ARP },
			"ndp": func() uint64 { return c.counts().NDP },
		} {
			legacyregistry.RawMustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Namespace:   metricsNamespace,
				Name:        c.name,
				Help:        c.help,
				ConstLabels: prometheus.Labels{"protocol": protocol},
			}, func() float64 { return float64(count()) }))
		}
	}
}

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(addressesMetric, proxiedMetric, relayedMetric, movesMetric, conflictsMetric, membersMetric, detectionMetric, planMetric)
})
