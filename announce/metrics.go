package announce

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
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
	planMetric = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace:      metricsNamespace,
		Name:           "plan_duration_seconds",
		Help:           "Time that it took to decide what this node announces after a change.",
		Buckets:        metrics.ExponentialBuckets(1e-5, 4, 9),
		StabilityLevel: metrics.ALPHA,
	})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(addressesMetric, movesMetric, membersMetric, planMetric)
})
