package provider

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// eventClassNotServed (Warning, Service): spec.loadBalancerClass is not Clarion's but resembles it.
const eventClassNotServed = "ClassNotServed"

// reportNearMiss tells a Service whose load balancer class is probably meant to be Clarion's. One that
// somebody has served means what it says.
func (c *Cloud) reportNearMiss(service *corev1.Service) {
	if sentence := c.Scope.NearMiss(service); sentence != "" && len(service.Status.LoadBalancer.Ingress) == 0 {
		c.Events.Event(service, corev1.EventTypeWarning, eventClassNotServed, sentence)
	}
}

// listServices returns all Services. A lister over a cache does not fail.
func listServices(lister corelisters.ServiceLister) []*corev1.Service {
	services, err := lister.List(labels.Everything())
	if err != nil {
		panic(err)
	}
	return services
}
