package migrate

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/loadbalancer"
)

// serve plans the moves of the Services that the other load balancer serves: those of its class and, where it serves them, those
// without one. The annotations are those that a Service gets in place of the other load balancer's.
func (b *builder) serve(classes func(class string) bool, classless bool, annotations func(*corev1.Service) map[string]string) {
	if len(b.options.Pool) > 0 {
		b.add("IPAddressPool", "migrated", Ref{}, nil, map[string]any{"addresses": b.entries(Ref{}, b.options.Pool), "autoAssign": false})
		b.remark(Note, Ref{Kind: "IPAddressPool", Name: "migrated"}, "has the addresses of --pool. An advertisement that names its pools has to name this one, too")
	}
	for i := range b.services {
		service := &b.services[i]
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		class := ""
		if service.Spec.LoadBalancerClass != nil {
			class = *service.Spec.LoadBalancerClass
		}
		move := Move{Service: nameOf(service), How: Adopt, Addresses: addressesOf(service)}
		switch {
		case class == b.options.class():
			continue
		case class == "" && !classless:
			continue
		case class != "" && !classes(class):
			b.remark(Note, serviceRef(service), "has class %s and is left alone", class)
			continue
		case class != "":
			move.How = ByFlag
			if b.options.Recreate {
				move.How, move.Class, move.Reclaim = Recreate, b.options.class(), b.reclaim(service)
			}
			if !slices.Contains(b.classes, class) {
				b.classes = append(b.classes, class)
			}
		}
		b.served = append(b.served, service)
		move.Annotations = annotations(service)
		b.pin(service, &move)
		b.plan.Moves = append(b.plan.Moves, move)
	}
	if slices.Sort(b.classes); len(b.classes) > 1 && !b.options.Recreate {
		b.remark(Blocking, Ref{}, "Services have the classes %s, and Clarion serves one: --recreate makes them anew, with Clarion's class",
			strings.Join(b.classes, ", "))
	}
}

// pin has a Service ask for the addresses that it has, so that it gets them again whatever becomes of its status. One that asks
// for addresses in words that Clarion reads is left as it is.
func (b *builder) pin(service *corev1.Service, move *Move) {
	asks := service.Spec.LoadBalancerIP != ""
	for _, name := range []loadbalancer.Annotation{loadbalancer.AnnotationAddresses, loadbalancer.AnnotationMetalLBAddresses, loadbalancer.AnnotationMetalLBOldAddresses} {
		asks = asks || service.Annotations[string(name)] != ""
	}
	if asks || len(move.Addresses) == 0 || move.Annotations[string(loadbalancer.AnnotationAddresses)] != "" {
		return
	}
	if !onePerFamily(move.Addresses) {
		b.remark(Blocking, serviceRef(service), "has %s: with Clarion, a Service has one address of a family", strings.Join(move.Addresses, ", "))
		return
	}
	if move.Annotations == nil {
		move.Annotations = map[string]string{}
	}
	move.Annotations[string(loadbalancer.AnnotationAddresses)] = strings.Join(move.Addresses, ",")
}

// reclaim are the annotations by which a Service asks the other load balancer for the addresses that it has.
func (b *builder) reclaim(service *corev1.Service) map[string]string {
	addresses := addressesOf(service)
	asks := slices.ContainsFunc(b.requests, func(name string) bool { return service.Annotations[name] != "" })
	if len(b.requests) == 0 || len(addresses) == 0 || asks || service.Spec.LoadBalancerIP != "" {
		return nil
	}
	return map[string]string{b.requests[0]: strings.Join(addresses, ",")}
}

// onePerFamily says whether a Service can have these addresses together.
func onePerFamily(addresses []string) bool {
	count := map[bool]int{}
	for _, address := range addresses {
		count[strings.Contains(address, ":")]++
	}
	return count[true] <= 1 && count[false] <= 1
}

// nothing are no annotations.
func nothing(*corev1.Service) map[string]string { return nil }

// annotated collects annotations; one without a value is none.
func annotated(pairs ...string) map[string]string {
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			set[pairs[i]] = pairs[i+1]
		}
	}
	if len(set) == 0 {
		return nil
	}
	return set
}
