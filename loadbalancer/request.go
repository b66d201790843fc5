package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Request is all that the Allocator knows of a Service. The Allocator keeps it. It must not be
// written to after it was handed over.
type Request struct {
	// Service and UID together are the identity of an owner: a Service that is deleted and created
	// again is another one.
	Service types.NamespacedName
	UID     types.UID
	// Created orders Services by age; UID, then name, where it is equal.
	Created time.Time
	// Labels of the Service, for the pools' serviceSelectors. Read, never written.
	Labels map[string]string
	// Families and Policy are spec.ipFamilies, in order, and spec.ipFamilyPolicy. The policy's
	// default is SingleStack, which uses the first family.
	Families []corev1.IPFamily
	Policy   corev1.IPFamilyPolicy
	// Pool is the pool that the Service asks for, "" for none.
	Pool string
	// Addresses that the Service asks for, at most one per family. With PreferDualStack one of them
	// may be of a family that the Service does not have.
	Addresses []netip.Addr
	// SharingKey is the key under which the Service shares its addresses, "" for not at all.
	SharingKey string
	// Ports that the Service uses of its addresses.
	Ports []Port
	// Backends says which pods are behind the Service, as far as it matters for sharing: "" for
	// externalTrafficPolicy Cluster, where every node serves, and for Local a text that is equal
	// for equal pods.
	Backends string
	// Current are the addresses in the Service's status. A Service claims them if the Allocator
	// does not know it yet.
	Current []netip.Addr
	// Answered says that the Service's status is an answer of ours.
	Answered bool
	// Since is Outcome.Since of that answer; zero if the status does not say that the Service has
	// what it asks for.
	Since time.Time
	// IgnoredAnnotations are the Service's annotations of our domain that nobody reads, and those for
	// other load balancers, sorted. The Service is told of them, and they change nothing else.
	IgnoredAnnotations []string
	// Invalid is set if what the Service asks for cannot be understood. The Service then keeps the
	// addresses that it has, as far as it may, and gets no other.
	Invalid *Error
}

// Port is a port of an address.
type Port struct {
	Protocol corev1.Protocol
	Port     int32
}

// NewRequest reads a Service's wishes. The error is an *Error with reason InvalidRequest, which is
// in Request.Invalid too; the rest of the Request is filled in all the same and may be handed to
// Ensure and Restore.
func NewRequest(svc *corev1.Service) (Request, error) {
	r := Request{
		Service:  types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name},
		UID:      svc.UID,
		Created:  svc.CreationTimestamp.Time,
		Labels:   svc.Labels,
		Families: svc.Spec.IPFamilies,
		Policy:   corev1.IPFamilyPolicySingleStack,
		Backends: backends(svc),
	}
	if svc.Spec.IPFamilyPolicy != nil {
		r.Policy = *svc.Spec.IPFamilyPolicy
	}
	for _, port := range svc.Spec.Ports {
		r.Ports = append(r.Ports, Port{Protocol: cmp.Or(port.Protocol, corev1.ProtocolTCP), Port: port.Port})
	}
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		addr, err := netip.ParseAddr(ingress.IP)
		if err == nil && !slices.Contains(r.Current, addr) {
			r.Current = append(r.Current, addr)
		}
	}

	said := meta.FindStatusCondition(svc.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	r.Answered = said != nil && said.Status != metav1.ConditionUnknown // Unknown is the mark of one that was just taken up
	if said != nil && said.Status == metav1.ConditionTrue {
		r.Since = said.LastTransitionTime.Time
	}
	r.IgnoredAnnotations = ignoredAnnotations(svc.Annotations)

	var contradictions [4]*Error
	r.SharingKey, contradictions[0] = agreed(svc, sharingAnnotations)
	r.Pool, contradictions[1] = agreed(svc, poolAnnotations)
	r.Addresses, contradictions[2] = wishedAddresses(svc)
	contradictions[3] = r.checkFamilies()
	if r.Invalid = cmp.Or(contradictions[:]...); r.Invalid != nil {
		return r, r.Invalid
	}
	return r, nil
}

// backends is Request.Backends. A selector selects in its own namespace, so equal selectors in two
// namespaces are not the same. Without a selector nobody knows which pods there are, and the
// Service is equal only to itself.
func backends(svc *corev1.Service) string {
	if svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return ""
	}
	if len(svc.Spec.Selector) == 0 {
		return "service " + svc.Namespace + "/" + svc.Name
	}
	return "pods " + svc.Namespace + "/" + labels.Set(svc.Spec.Selector).String()
}

// agreed is the value of an annotation in all its spellings; "" if none is set. If they contradict
// each other, it is the value of the first, so that a Service with a mistake in it need not give up
// an address that it shares.
func agreed(svc *corev1.Service, spellings []Annotation) (string, *Error) {
	var value string
	var from Annotation
	for _, name := range spellings {
		v := strings.TrimSpace(svc.Annotations[string(name)])
		switch {
		case v == "":
		case value == "":
			value, from = v, name
		case value != v:
			return value, spellingsDiffer(from, name)
		}
	}
	return value, nil
}

// Wishes are the addresses that a Service asks for by name; none if they cannot be understood.
func Wishes(svc *corev1.Service) []netip.Addr {
	wish, err := wishedAddresses(svc)
	if err != nil {
		return nil
	}
	return wish
}

// WishAnnotations are those of a Service's annotations that Wishes reads; nil if there are none.
func WishAnnotations(annotations map[string]string) (wishes map[string]string) {
	for _, name := range addressAnnotations {
		if text, set := annotations[string(name)]; set {
			if wishes == nil {
				wishes = map[string]string{}
			}
			wishes[string(name)] = text
		}
	}
	return wishes
}

// wishedAddresses are the addresses of all spellings of the annotation and of spec.loadBalancerIP,
// which must agree.
func wishedAddresses(svc *corev1.Service) ([]netip.Addr, *Error) {
	var wish []netip.Addr
	var from Annotation
	for _, name := range addressAnnotations {
		text := strings.TrimSpace(svc.Annotations[string(name)])
		if text == "" {
			continue
		}
		list, err := parseAddresses("annotation "+string(name), text)
		if err != nil {
			return nil, err
		}
		if wish != nil && !slices.Equal(wish, list) {
			return nil, spellingsDiffer(from, name)
		}
		wish, from = list, name
	}

	text := strings.TrimSpace(svc.Spec.LoadBalancerIP)
	if text == "" {
		return wish, nil
	}
	addr, err := parseAddr(text)
	if err != nil {
		return nil, notAnAddress("spec.loadBalancerIP", text)
	}
	if wish == nil {
		return []netip.Addr{addr}, nil
	}
	if !slices.Contains(wish, addr) {
		return nil, loadBalancerIPDiffers(addr, from)
	}
	return wish, nil
}

// parseAddresses reads a list of at most one address per family and returns it with IPv4 first.
func parseAddresses(where, text string) ([]netip.Addr, *Error) {
	var found [families]netip.Addr
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return nil, emptyItem(where, text)
		}
		addr, err := parseAddr(item)
		if err != nil {
			return nil, notAnAddress(where, item)
		}
		f := familyOf(addr)
		if found[f].IsValid() {
			return nil, twoOfAFamily(where, f)
		}
		found[f] = addr
	}
	return slices.DeleteFunc(found[:], func(a netip.Addr) bool { return !a.IsValid() }), nil
}

// checkFamilies checks that the Service has the families of the addresses that it asks for. One that
// merely prefers both families, and asks for an address of each, gets the one that it can have.
func (r *Request) checkFamilies() *Error {
	if len(r.wanted()) == 0 {
		return noFamily()
	}
	if r.Policy == corev1.IPFamilyPolicyPreferDualStack && len(r.Addresses) == int(families) {
		return nil
	}
	for _, addr := range r.Addresses {
		if !r.wants(familyOf(addr)) {
			return wrongFamily(addr)
		}
	}
	return nil
}

// familyNotGiven says why the Service misses an address that it asks for of a family that it does
// not have; "" if it asks for none.
func (r *Request) familyNotGiven() string {
	for _, addr := range r.Addresses {
		if wanted := r.wanted(); !slices.Contains(wanted, familyOf(addr)) {
			return withoutFamily(familyOf(addr), addressNotGiven(addr, wanted[0]))
		}
	}
	return ""
}

// wanted lists the families that the Service is to have an address of, in its order.
func (r *Request) wanted() []family {
	list := make([]family, 0, families)
	for _, name := range r.Families {
		if f, ok := familyFrom(name); ok && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	if r.Policy != corev1.IPFamilyPolicyPreferDualStack && r.Policy != corev1.IPFamilyPolicyRequireDualStack && len(list) > 1 {
		list = list[:1]
	}
	return list
}

func (r *Request) wants(f family) bool {
	return slices.Contains(r.wanted(), f)
}

// wish is the address of a family that the Service asks for; the zero Addr if it asks for none.
func (r *Request) wish(f family) netip.Addr {
	for _, addr := range r.Addresses {
		if familyOf(addr) == f {
			return addr
		}
	}
	return netip.Addr{}
}

// remark is what there is to say of a request whatever the answer is; "" if there is nothing.
func (r *Request) remark() string {
	var list []string
	for _, name := range r.IgnoredAnnotations[:min(len(r.IgnoredAnnotations), mostNamed+1)] {
		list = append(list, WhyIgnored(name))
	}
	return enumerate(list, "; ")
}

// WhyIgnored says in a sentence why nobody reads one of Request.IgnoredAnnotations, and which is probably meant.
func WhyIgnored(annotation string) string {
	if f, others := foreign(annotation); others {
		return foreignAnnotationIgnored(annotation, f)
	}
	return annotationIgnored(annotation, probablyMeant(annotation))
}

// sharesLike reports whether two requests of one Service are the same in all that matters to those
// that it shares with.
func (r *Request) sharesLike(other *Request) bool {
	return r.SharingKey == other.SharingKey && r.Backends == other.Backends && slices.Equal(r.Ports, other.Ports)
}

// compareAge orders requests by age, the oldest first.
func (r *Request) compareAge(other *Request) int {
	return cmp.Or(
		r.Created.Compare(other.Created),
		cmp.Compare(r.UID, other.UID),
		cmp.Compare(r.Service.Namespace, other.Service.Namespace),
		cmp.Compare(r.Service.Name, other.Service.Name),
	)
}

// requiresBoth reports whether the Service wants addresses of both families or none.
func (r *Request) requiresBoth() bool {
	return r.Policy == corev1.IPFamilyPolicyRequireDualStack
}
