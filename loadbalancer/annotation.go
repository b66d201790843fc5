package loadbalancer

import (
	"slices"
	"strings"

	"github.com/clarionlb/clarion/internal/spelling"
)

// Annotation is the name of an annotation by which the author of a Service says what address the
// Service is to have.
type Annotation string

const (
	// AnnotationPool names the IPAddressPool that the Service's addresses must come from, of every
	// family that the Service has. It also opens pools with autoAssign: false. Type: name of an
	// IPAddressPool. Default: any pool that admits the Service. Changing it moves the Service;
	// removing it does not.
	AnnotationPool Annotation = "clarionlb.io/address-pool"

	// AnnotationAddresses lists the addresses that the Service must have, at most one per family,
	// separated by commas. A family that is not listed is chosen as usual. Type: list of IP
	// addresses. Default: any free address. Changing it moves the Service; removing it does not. It
	// must not contradict spec.loadBalancerIP.
	AnnotationAddresses Annotation = "clarionlb.io/addresses"

	// AnnotationSharing is the sharing key. Services with the same key may have the same address if
	// no (protocol, port) is in use twice, if those with externalTrafficPolicy Local have the same
	// pods behind them, and if the pool's spec.sharing does not keep their namespaces apart. Type:
	// any text. Default: the address is not shared.
	AnnotationSharing Annotation = "clarionlb.io/allow-shared-ip"
)

// MetalLB's names of the same annotations, so that manifests can be carried over as they are.
// Several spellings in one Service must agree.
const (
	// AnnotationMetalLBPool is read as clarionlb.io/address-pool.
	AnnotationMetalLBPool Annotation = "metallb.io/address-pool"
	// AnnotationMetalLBAddresses is read as clarionlb.io/addresses.
	AnnotationMetalLBAddresses Annotation = "metallb.io/loadBalancerIPs"
	// AnnotationMetalLBSharing is read as clarionlb.io/allow-shared-ip.
	AnnotationMetalLBSharing Annotation = "metallb.io/allow-shared-ip"

	// AnnotationMetalLBOldPool is read as clarionlb.io/address-pool.
	AnnotationMetalLBOldPool Annotation = "metallb.universe.tf/address-pool"
	// AnnotationMetalLBOldAddresses is read as clarionlb.io/addresses.
	AnnotationMetalLBOldAddresses Annotation = "metallb.universe.tf/loadBalancerIPs"
	// AnnotationMetalLBOldSharing is read as clarionlb.io/allow-shared-ip.
	AnnotationMetalLBOldSharing Annotation = "metallb.universe.tf/allow-shared-ip"
)

var (
	poolAnnotations    = []Annotation{AnnotationPool, AnnotationMetalLBPool, AnnotationMetalLBOldPool}
	addressAnnotations = []Annotation{AnnotationAddresses, AnnotationMetalLBAddresses, AnnotationMetalLBOldAddresses}
	sharingAnnotations = []Annotation{AnnotationSharing, AnnotationMetalLBSharing, AnnotationMetalLBOldSharing}

	// allAnnotations are all spellings of each, ours first.
	allAnnotations = [][]Annotation{poolAnnotations, addressAnnotations, sharingAnnotations}
)

// annotationDomain is what our own annotations begin with.
const annotationDomain = "clarionlb.io/"

// foreignAnnotation is one, or all that begin with it, by which a Service asks another load balancer for something.
type foreignAnnotation struct {
	begins string
	// of is whose it is, and meant ours that says the same; "" if there is none.
	of    string
	meant Annotation
}

// foreignAnnotations are those that are common. What other load balancers write themselves is not among them.
var foreignAnnotations = []foreignAnnotation{
	{"kube-vip.io/loadbalancerIPs", "kube-vip's", AnnotationAddresses},
	{"kube-vip.io/loadbalancerHostname", "kube-vip's", ""},
	{"kube-vip.io/egress", "kube-vip's", ""},
	{"kube-vip.io/serviceInterface", "kube-vip's", ""},
	{"lbipam.cilium.io/ips", "Cilium's", AnnotationAddresses},
	{"io.cilium/lb-ipam-ips", "Cilium's", AnnotationAddresses},
	{"lbipam.cilium.io/sharing-key", "Cilium's", AnnotationSharing},
	{"lbipam.cilium.io/sharing-cross-namespace", "Cilium's", ""},
	{"purelb.io/addresses", "PureLB's", AnnotationAddresses},
	{"purelb.io/service-group", "PureLB's", AnnotationPool},
	{"purelb.io/allow-shared-ip", "PureLB's", AnnotationSharing},
	{"svccontroller.k3s.cattle.io/", "that of ServiceLB of k3s", ""},
	{"service.beta.kubernetes.io/aws-load-balancer-", "that of AWS", ""},
	{"service.beta.kubernetes.io/azure-", "that of Azure", ""},
	{"service.beta.kubernetes.io/do-loadbalancer-", "that of DigitalOcean", ""},
	{"service.beta.kubernetes.io/linode-loadbalancer-", "that of Linode", ""},
	{"service.beta.kubernetes.io/oci-load-balancer-", "that of Oracle", ""},
	{"service.beta.kubernetes.io/scw-loadbalancer-", "that of Scaleway", ""},
	{"service.beta.kubernetes.io/openstack-internal-load-balancer", "that of OpenStack", ""},
	{"loadbalancer.openstack.org/", "that of OpenStack", ""},
	{"load-balancer.hetzner.cloud/", "that of Hetzner", ""},
	{"cloud.google.com/load-balancer-type", "that of Google", ""},
	{"networking.gke.io/load-balancer-type", "that of Google", ""},
}

// foreign finds a foreign annotation by its name.
func foreign(name string) (foreignAnnotation, bool) {
	for _, f := range foreignAnnotations {
		if name == f.begins || strings.HasPrefix(name, f.begins) && strings.ContainsAny(f.begins[len(f.begins)-1:], "/-") {
			return f, true
		}
	}
	return foreignAnnotation{}, false
}

// ignoredAnnotations lists the annotations of our domain that nobody reads on a Service, and those by which it asks another load
// balancer for something, sorted. One that says what ours says too is left out. In MetalLB's domains there are more than we serve,
// and MetalLB itself writes some of them.
func ignoredAnnotations(annotations map[string]string) []string {
	var list []string
	for name := range annotations {
		ours := strings.HasPrefix(name, annotationDomain) && !slices.ContainsFunc(allAnnotations, func(spellings []Annotation) bool {
			return string(spellings[0]) == name
		})
		f, others := foreign(name)
		if ours || others && (f.meant == "" || annotations[string(f.meant)] == "") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// mostEdits is by how many letters a name may differ from the one that is meant. A plural differs by
// fewer.
const mostEdits = 3

// probablyMeant is our annotation that an unknown one of our domain resembles most, or resembles
// MetalLB's name of; "" if it resembles none. Upper and lower case are the same here.
func probablyMeant(unknown string) Annotation {
	nameOf := func(annotation string) string {
		return strings.ToLower(annotation[strings.IndexByte(annotation, '/')+1:])
	}
	meant, fewest := Annotation(""), mostEdits+1
	for _, spellings := range allAnnotations {
		for _, known := range spellings {
			if n := spelling.Edits(nameOf(unknown), nameOf(string(known))); n < fewest {
				meant, fewest = spellings[0], n
			}
		}
	}
	return meant
}
