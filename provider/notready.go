package provider

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
)

var notReadyObjects = metrics.NewDesc("clarion_objects_not_ready",
	"Objects of Clarion's kinds that are not Ready, by kind and the reason of the condition.",
	[]string{"kind", "reason"}, nil, metrics.ALPHA, "")

// notReadyCollector reports, when it is asked, what the statuses of Clarion's objects say.
type notReadyCollector struct {
	metrics.BaseStableCollector
	// informers are nil until follow.
	informers atomic.Pointer[map[string]cache.SharedIndexInformer]
}

// follow has the collector report on the objects of a factory. It must be called before that is started.
func (c *notReadyCollector) follow(factory clarioninformers.SharedInformerFactory) {
	api := factory.Clarion().V1alpha1()
	c.informers.Store(&map[string]cache.SharedIndexInformer{
		"Announcer":            api.Announcers().Informer(),
		"BFDProfile":           api.BFDProfiles().Informer(),
		"BGPAdvertisement":     api.BGPAdvertisements().Informer(),
		"BGPPeer":              api.BGPPeers().Informer(),
		"Community":            api.Communities().Informer(),
		"IPAddressPool":        api.IPAddressPools().Informer(),
		"IPAddressReservation": api.IPAddressReservations().Informer(),
		"L2Advertisement":      api.L2Advertisements().Informer(),
	})
}

// DescribeWithStability implements metrics.StableCollector.
func (c *notReadyCollector) DescribeWithStability(descriptions chan<- *metrics.Desc) {
	descriptions <- notReadyObjects
}

// CollectWithStability implements metrics.StableCollector.
func (c *notReadyCollector) CollectWithStability(out chan<- metrics.Metric) {
	informers := c.informers.Load()
	if informers == nil {
		return
	}
	for kind, informer := range *informers {
		counts := map[string]int{}
		for _, object := range informer.GetStore().List() {
			ready := meta.FindStatusCondition(v1alpha1.ConditionsOf(object), v1alpha1.ConditionReady)
			if ready != nil && ready.Status != metav1.ConditionTrue {
				counts[ready.Reason]++
			}
		}
		for reason, count := range counts {
			out <- metrics.NewLazyConstMetric(notReadyObjects, metrics.GaugeValue, float64(count), kind, reason)
		}
	}
}
