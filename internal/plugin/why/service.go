package why

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/scope"
)

// Service follows a Service from its class to its announcement. A Service that does not exist is an
// error of the caller.
func Service(s *snapshot.State, name types.NamespacedName) *Report {
	service := s.Service(name)
	r := &Report{Kind: "Service", Name: name.String()}
	class := classLink(s, service)
	if r.add(class); class.Mark == Failed {
		r.add(warningsLinks(s, service)...)
		r.conclude("")
		return r
	}
	r.add(answerLinks(s, service)...)
	addresses := addressesOf(service)
	r.add(endpointsLink(s, service, addresses))
	for _, address := range addresses {
		r.add(announcementLinks(s, address)...)
	}
	r.add(serviceNotes(service)...)
	r.add(warningsLinks(s, service)...)
	r.conclude(summaryOf(s, name, addresses))
	return r
}

// summaryOf is what there is to say of a Service if all is well.
func summaryOf(s *snapshot.State, name types.NamespacedName, addresses []netip.Addr) string {
	if c := s.Announced.Condition(name); c != nil {
		return c.Message
	}
	if len(addresses) == 0 {
		return "the Service has no address yet"
	}
	return "nothing is known of its announcement"
}

// addressesOf are the addresses in the status of a Service.
func addressesOf(service *corev1.Service) (addresses []netip.Addr) {
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil {
			addresses = append(addresses, address.Unmap())
		}
	}
	return addresses
}

// classLink says whether the Service asks Clarion for a load balancer, and who else might serve it.
func classLink(s *snapshot.State, service *corev1.Service) Link {
	l, class := Link{Name: "class", Mark: Failed}, scope.ClassOf(service)
	switch {
	case service.Spec.Type != corev1.ServiceTypeLoadBalancer:
		l.Sentence = fmt.Sprintf("spec.type is %s: the Service asks for no load balancer", service.Spec.Type)
		l.Remedy = "set spec.type: LoadBalancer"
	case s.Scope.Wants(service) && class == "":
		l.Mark, l.Sentence = OK, "there is no spec.loadBalancerClass: Clarion serves it, and so would any other load balancer that serves Services without one"
	case s.Scope.Wants(service):
		l.Mark, l.Sentence = OK, fmt.Sprintf("spec.loadBalancerClass is %q: Clarion alone serves it", class)
	case class == "":
		l.Sentence = "there is no spec.loadBalancerClass, and the cloud-controller-manager runs with --require-load-balancer-class: another load balancer is to serve the Service"
		l.Remedy = "make the Service anew with spec.loadBalancerClass: " + ourClass(s)
	default:
		l.Sentence = fmt.Sprintf("spec.loadBalancerClass %q is not Clarion's, which is %q: another load balancer is to serve the Service", class, ourClass(s))
		l.Remedy = "if Clarion is to serve it, make the Service anew, or turn it into another type in between"
		if near := s.Scope.NearMiss(service); near != "" {
			l.Sentence, l.Remedy = near, "correct the class"
		}
	}
	if l.Mark == OK && !s.Scope.Served(service) && len(service.Status.LoadBalancer.Ingress) > 0 {
		l.Mark, l.Sentence = Warning, "the address in its status is not from Clarion: another load balancer serves the Service too"
		l.Remedy = "set spec.loadBalancerClass in Services, so that each has one load balancer: see docs/guides/beside-others.md"
	}
	return l
}

func ourClass(s *snapshot.State) string {
	if s.Scope.Class != "" {
		return s.Scope.Class
	}
	return v1alpha1.LoadBalancerClass
}

// answerLinks say which pool has an address for the Service, and whether it has got it.
func answerLinks(s *snapshot.State, service *corev1.Service) []Link {
	name := snapshot.NameOf(service)
	answer := s.Answers[name]
	pool := Link{Name: "pool", Mark: OK, Sentence: answer.Message}
	for _, v := range s.Allocator.Explain(name) {
		i := Item{Name: v.Pool, Mark: Note, Sentence: v.Refused}
		switch {
		case v.Address.IsValid():
			i.Mark, i.Sentence = OK, "has "+v.Address.String()
			if status := s.Pools[v.Pool]; !status.Ready {
				i.Mark, i.Remedy = Warning, remedyOfConfiguration(status.Reason, "ipaddresspool "+v.Pool)
				i.Sentence += "; " + status.Message
				pool.Mark = Warning
			}
		case v.Refused == "":
			i.Sentence = "has free " + string(v.Family) + " addresses, and comes later"
			if answer.Refused != nil {
				i.Sentence = "is asked, and cannot give what the Service asks for"
			}
		}
		if status := s.Pools[v.Pool]; !status.Ready && i.Mark != OK {
			i.Mark = Warning
		}
		pool.Items = append(pool.Items, i)
	}
	if answer.Refused != nil {
		pool.Mark, pool.Sentence = Failed, answer.Refused.Message
		pool.Reason, pool.Remedy = string(answer.Refused.Reason), answer.Refused.Remedy
	}
	if len(answer.Clashes) > 0 {
		pool.Mark = Warning
	}
	return []Link{pool, assignedLink(s, service, answer)}
}

// assignedLink compares what the Service has with what it is to have.
func assignedLink(s *snapshot.State, service *corev1.Service, answer snapshot.Answer) Link {
	has, controller := addressesOf(service), Controller(s)
	l := Link{Name: "address", Mark: OK}
	said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	upToDate := slices.Equal(has, answer.Addresses)
	switch {
	case service.DeletionTimestamp != nil:
		l.Mark, l.Sentence = Failed, "the Service is being deleted"
	case upToDate && len(has) > 0:
		l.Sentence = "its status has " + join(has)
	case upToDate && said != nil:
		l.Mark, l.Sentence = Note, "its status has none, as the condition "+v1alpha1.ConditionAddressAssigned+" says"
	case len(has) == 0 && answer.Refused == nil:
		l.Mark, l.Sentence = Failed, "its status has none yet, and would get "+join(answer.Addresses)
	case upToDate:
		l.Mark, l.Sentence = Failed, "its status has none, and the Service has not been answered"
	default:
		l.Mark, l.Sentence = Warning, fmt.Sprintf("its status has %s, and is to have %s", join(has), join(answer.Addresses))
	}
	waits := l.Mark == Failed || l.Mark == Warning
	switch {
	case l.Mark != OK && controller.Mark == Failed:
		l.Mark = Failed
		fallthrough
	case waits && controller.Mark == Warning:
		l.Sentence += ": " + controller.Sentence
		l.Remedy, l.Items = controller.Remedy, controller.Items
	case l.Mark == Failed && service.DeletionTimestamp == nil:
		l.Remedy = "wait a moment; if it lasts: " + logsOfController
	}
	return l
}

func join(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return "none"
	}
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

// endpointsLink counts the endpoints of a Service that can serve.
func endpointsLink(s *snapshot.State, service *corev1.Service, addresses []netip.Addr) Link {
	l, name := Link{Name: "endpoints", Mark: OK}, snapshot.NameOf(service)
	total, serving, nodes, lost := 0, 0, map[string]int{}, map[string]int{}
	for _, slice := range s.SlicesOf(name) {
		for _, e := range slice.Endpoints {
			total++
			if !plan.CanServe(e.Conditions) {
				lost[deref(e.NodeName)]++
				continue
			}
			serving++
			nodes[deref(e.NodeName)]++
		}
	}
	for _, node := range sortedKeys(nodes) {
		i := Item{Name: node, Mark: OK, Sentence: fmt.Sprintf("has %d that can serve", nodes[node])}
		if node == "" {
			i.Name = "elsewhere"
		}
		l.Items = append(l.Items, i)
	}
	for _, node := range sortedKeys(lost) {
		if _, dead := s.Announced.Dead(node); dead {
			l.Items = append(l.Items, Item{Name: node, Mark: Warning, Sentence: fmt.Sprintf("has %d that does not serve: the node is dead", lost[node])})
		}
	}
	l.Sentence = fmt.Sprintf("%d of %d can serve", serving, total)
	if serving > 0 {
		return l
	}
	l.Mark = Failed
	if len(addresses) == 0 {
		l.Mark = Warning // that is not what keeps it from having an address
	}
	selector := labels.SelectorFromSet(service.Spec.Selector).String()
	switch {
	case total > 0:
		l.Sentence = "the Service has " + counted(total, "endpoint") + ", and none that can serve: no pod is ready"
		l.Remedy = fmt.Sprintf("make the pods ready: kubectl -n %s get pods --selector %s", name.Namespace, selector)
	case len(service.Spec.Selector) == 0:
		l.Sentence = "the Service has no endpoint: it has no spec.selector, and nobody has made EndpointSlices for it"
		l.Remedy = "set spec.selector, or make an EndpointSlice with the label " + discoveryv1.LabelServiceName + "=" + name.Name
	default:
		l.Sentence = "the Service has no endpoint: spec.selector matches no pod that has an address"
		l.Remedy = fmt.Sprintf("correct the selector or the labels of the pods: kubectl -n %s get pods --selector %s", name.Namespace, selector)
	}
	return l
}

// serviceNotes say what of the Service decides whom kube-proxy lets through, and to where.
func serviceNotes(service *corev1.Service) (links []Link) {
	note := func(name, sentence string) {
		links = append(links, Link{Name: name, Mark: Note, Sentence: sentence})
	}
	if sources := service.Spec.LoadBalancerSourceRanges; len(sources) > 0 {
		note("clients", "kube-proxy lets only "+strings.Join(sources, ", ")+" through (spec.loadBalancerSourceRanges), and drops others without an answer")
	}
	if service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		note("traffic", "externalTrafficPolicy is Local: only nodes with an endpoint announce the Service, and the address of the client is kept")
	}
	return links
}
