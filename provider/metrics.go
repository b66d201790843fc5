package provider

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

var (
	poolAddresses = metrics.NewDesc("clarion_pool_addresses",
		"Addresses of a pool by family and state: total, assigned (shared ones count once), available, and awaiting_reuse, which are available but not handed out again while others are left.",
		[]string{"pool", "family", "state"}, nil, metrics.ALPHA, "")
	waitingServices = metrics.NewDesc("clarion_services_waiting",
		"Services that do not have what they ask for, by the reason of their AddressAssigned condition.",
		[]string{"reason"}, nil, metrics.ALPHA, "")
)

// MetricsRegistry takes metrics. A metrics.KubeRegistry is one.
type MetricsRegistry interface {
	MustRegister(...metrics.Registerable)
	CustomMustRegister(...metrics.StableCollector)
}

// providerMetrics are those that are not the allocator's.
type providerMetrics struct {
	latency   *metrics.Histogram
	conflicts *metrics.Gauge
	panics    *metrics.CounterVec
	// withdrawals are counted by result.
	withdrawals *metrics.CounterVec
	notReady    *notReadyCollector
}

func newMetrics(registry MetricsRegistry, allocator *loadbalancer.Allocator) *providerMetrics {
	m := &providerMetrics{
		latency: metrics.NewHistogram(&metrics.HistogramOpts{
			Name:           "clarion_allocation_duration_seconds",
			Help:           "Time from a Service's asking for an address (its creation, or the last refusal) to its getting one.",
			Buckets:        []float64{1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400},
			StabilityLevel: metrics.ALPHA,
		}),
		conflicts: metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "clarion_conflicting_addresses",
			Help:           "Addresses for which something on the network answers that is none of the announcers.",
			StabilityLevel: metrics.ALPHA,
		}),
	}
	m.panics = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "clarion_panics_total",
		Help: "Faults of the program that were kept to the object that they happened on, by component. " +
			"The log has each place in the program once a minute, with a stack.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"component"})
	m.withdrawals = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "clarion_endpoint_withdrawals_total",
		Help: "Nodes that a majority of the announcers took for dead, by what became of their pods: withdrawn (marked not ready), " +
			"restored (ready again, as the node was not dead), held (left to Kubernetes, as too many nodes were dead at once).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})
	m.notReady = &notReadyCollector{}
	registry.CustomMustRegister(&allocatorCollector{allocator: allocator}, m.notReady)
	registry.MustRegister(m.latency, m.conflicts, m.panics, m.withdrawals)
	return m
}

// allocatorCollector reports, when it is asked, what the allocator knows.
type allocatorCollector struct {
	metrics.BaseStableCollector
	allocator *loadbalancer.Allocator
}

// DescribeWithStability implements metrics.StableCollector.
func (c *allocatorCollector) DescribeWithStability(descriptions chan<- *metrics.Desc) {
	descriptions <- poolAddresses
	descriptions <- waitingServices
}

// CollectWithStability implements metrics.StableCollector.
func (c *allocatorCollector) CollectWithStability(out chan<- metrics.Metric) {
	gauge := func(desc *metrics.Desc, value int64, labels ...string) {
		out <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, float64(value), labels...)
	}
	for name, status := range c.allocator.PoolStatuses(time.Now()) {
		family := func(family corev1.IPFamily, counts *v1alpha1.AddressCounts, awaitingReuse int64) {
			if counts == nil {
				return
			}
			gauge(poolAddresses, counts.Total, name, string(family), "total")
			gauge(poolAddresses, counts.Assigned, name, string(family), "assigned")
			gauge(poolAddresses, counts.Available, name, string(family), "available")
			gauge(poolAddresses, awaitingReuse, name, string(family), "awaiting_reuse")
		}
		family(corev1.IPv4Protocol, status.IPv4, status.AwaitingReuseIPv4)
		family(corev1.IPv6Protocol, status.IPv6, status.AwaitingReuseIPv6)
	}
	for reason, count := range c.allocator.Waiting() {
		gauge(waitingServices, int64(count), string(reason))
	}
}

// waited is how many seconds a Service without an address had to wait for the one that it gets now.
func waited(service *corev1.Service, now time.Time) float64 {
	since := service.CreationTimestamp.Time
	if refused := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned); refused != nil && refused.Status != metav1.ConditionUnknown {
		since = refused.LastTransitionTime.Time
	}
	return max(0, now.Sub(since).Seconds())
}
