package provider

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// eventClassNotServed (Warning, Service): spec.loadBalancerClass is not Clarion's but resembles it; again every 30 minutes until somebody
// has served the Service.
const eventClassNotServed = "ClassNotServed"

// reportNearMiss tells a Service that is not Clarion's if its load balancer class is probably meant to be
// Clarion's. One that somebody has served means what it says.
func (c *Cloud) reportNearMiss(service *corev1.Service) {
	sentence := c.Scope.NearMiss(service)
	if sentence == "" || len(service.Status.LoadBalancer.Ingress) > 0 {
		c.reminders.forget(service)
		return
	}
	c.Events.Event(service, corev1.EventTypeWarning, eventClassNotServed, sentence)
	c.reminders.keep(service, eventClassNotServed, sentence, time.Now(), time.Now())
}

// listServices returns all Services. A lister over a cache does not fail.
func listServices(lister corelisters.ServiceLister) []*corev1.Service {
	services, err := lister.List(labels.Everything())
	if err != nil {
		panic(err)
	}
	return services
}
