package provider

import (
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
)

var (
	notReadyObjects = metrics.NewDesc("clarion_objects_not_ready",
		"Objects of Clarion's kinds that are not Ready, by kind and the reason of the condition.",
		[]string{"kind", "reason"}, nil, metrics.ALPHA, "")
	impairedAnnouncers = metrics.NewDesc("clarion_announcers_impaired",
		"Announcers of which a condition is False, by the condition and its reason.",
		[]string{"condition", "reason"}, nil, metrics.ALPHA, "")
	unannouncedServices = metrics.NewDesc("clarion_services_not_announced",
		"Services that have addresses and whose Announced condition is False, by its reason.",
		[]string{"reason"}, nil, metrics.ALPHA, "")
)

// notReadyCollector reports, when it is asked, what the statuses of Services and of Clarion's objects say is wrong.
type notReadyCollector struct {
	metrics.BaseStableCollector
	// followed is nil until follow.
	followed atomic.Pointer[followedObjects]
}

// followedObjects are informers, those of Clarion's kinds by kind.
type followedObjects struct {
	services cache.SharedIndexInformer
	kinds    map[string]cache.SharedIndexInformer
}

// follow has the collector report on the objects of the factories. It must be called before they are started.
func (c *notReadyCollector) follow(kube informers.SharedInformerFactory, clarion clarioninformers.SharedInformerFactory) {
	api := clarion.Clarion().V1alpha1()
	c.followed.Store(&followedObjects{kube.Core().V1().Services().Informer(), map[string]cache.SharedIndexInformer{
		"Announcer":            api.Announcers().Informer(),
		"BFDProfile":           api.BFDProfiles().Informer(),
		"BGPAdvertisement":     api.BGPAdvertisements().Informer(),
		"BGPPeer":              api.BGPPeers().Informer(),
		"Community":            api.Communities().Informer(),
		"IPAddressPool":        api.IPAddressPools().Informer(),
		"IPAddressReservation": api.IPAddressReservations().Informer(),
		"L2Advertisement":      api.L2Advertisements().Informer(),
	}})
}

// DescribeWithStability implements metrics.StableCollector.
func (c *notReadyCollector) DescribeWithStability(descriptions chan<- *metrics.Desc) {
	descriptions <- notReadyObjects
	descriptions <- impairedAnnouncers
	descriptions <- unannouncedServices
}

// CollectWithStability implements metrics.StableCollector.
func (c *notReadyCollector) CollectWithStability(out chan<- metrics.Metric) {
	followed := c.followed.Load()
	if followed == nil {
		return
	}
	gauge := func(desc *metrics.Desc, count int, labels ...string) {
		out <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, float64(count), labels...)
	}
	unannounced := map[string]int{}
	for _, object := range followed.services.GetStore().List() {
		announced := meta.FindStatusCondition(object.(*corev1.Service).Status.Conditions, v1alpha1.ConditionAnnounced)
		if announced != nil && announced.Status == metav1.ConditionFalse {
			unannounced[announced.Reason]++
		}
	}
	for reason, count := range unannounced {
		gauge(unannouncedServices, count, reason)
	}
	type why struct{ condition, reason string }
	for kind, informer := range followed.kinds {
		notReady, impaired := map[string]int{}, map[why]int{}
		for _, object := range informer.GetStore().List() {
			for _, condition := range v1alpha1.ConditionsOf(object) {
				if condition.Type == v1alpha1.ConditionReady && condition.Status != metav1.ConditionTrue {
					notReady[condition.Reason]++
				}
				if kind == "Announcer" && condition.Status == metav1.ConditionFalse {
					impaired[why{condition.Type, condition.Reason}]++
				}
			}
		}
		for reason, count := range notReady {
			gauge(notReadyObjects, count, kind, reason)
		}
		for why, count := range impaired {
			gauge(impairedAnnouncers, count, why.condition, why.reason)
		}
	}
}
