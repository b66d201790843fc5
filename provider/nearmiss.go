package provider

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// eventClassNotServed (Warning, Service): spec.loadBalancerClass is not Clarion's but resembles it.
const eventClassNotServed = "ClassNotServed"

// reportNearMiss tells a Service whose load balancer class is probably meant to be Clarion's. One that
// somebody has served means what it says.
func (c *Cloud) reportNearMiss(service *corev1.Service) {
	class, ours := scope.ClassOf(service), cmp.Or(c.Scope.Class, v1alpha1.LoadBalancerClass)
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer && len(service.Status.LoadBalancer.Ingress) == 0 && nearMiss(class, ours) {
		c.Events.Event(service, corev1.EventTypeWarning, eventClassNotServed, fmt.Sprintf("spec.loadBalancerClass %q is not served by Clarion, "+
			"whose class is %q: to change it, make the Service anew, or turn it into another type in between", class, ours))
	}
}

// nearMiss says whether a load balancer class is not ours and probably meant to be: it is ours without
// the domain or in other letters, or differs in a few of them. A fourth of the name is a few.
func nearMiss(class, ours string) bool {
	if class == "" || class == ours {
		return false
	}
	class, ours = strings.ToLower(class), strings.ToLower(ours)
	_, name, _ := strings.Cut(ours, "/")
	return class == ours || class == name || loadbalancer.Edits(class, ours) <= min(3, len(ours)/4)
}

// listServices returns all Services. A lister over a cache does not fail.
func listServices(lister corelisters.ServiceLister) []*corev1.Service {
	services, err := lister.List(labels.Everything())
	if err != nil {
		panic(err)
	}
	return services
}
