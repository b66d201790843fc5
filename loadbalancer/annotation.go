package loadbalancer

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
	AnnotationMetalLBPool      Annotation = "metallb.io/address-pool"
	AnnotationMetalLBAddresses Annotation = "metallb.io/loadBalancerIPs"
	AnnotationMetalLBSharing   Annotation = "metallb.io/allow-shared-ip"

	AnnotationMetalLBOldPool      Annotation = "metallb.universe.tf/address-pool"
	AnnotationMetalLBOldAddresses Annotation = "metallb.universe.tf/loadBalancerIPs"
	AnnotationMetalLBOldSharing   Annotation = "metallb.universe.tf/allow-shared-ip"
)

var (
	poolAnnotations    = []Annotation{AnnotationPool, AnnotationMetalLBPool, AnnotationMetalLBOldPool}
	addressAnnotations = []Annotation{AnnotationAddresses, AnnotationMetalLBAddresses, AnnotationMetalLBOldAddresses}
	sharingAnnotations = []Annotation{AnnotationSharing, AnnotationMetalLBSharing, AnnotationMetalLBOldSharing}
)
