package loadbalancer

import (
	"slices"
	"strings"
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

	// allAnnotations are all spellings of each, ours first.
	allAnnotations = [][]Annotation{poolAnnotations, addressAnnotations, sharingAnnotations}
)

// annotationDomain is what our own annotations begin with.
const annotationDomain = "clarionlb.io/"

// unknownAnnotations lists the annotations of our domain that nobody reads on a Service, sorted. In
// MetalLB's domains there are more than we serve, and MetalLB itself writes some of them.
func unknownAnnotations(annotations map[string]string) []string {
	var list []string
	for name := range annotations {
		if strings.HasPrefix(name, annotationDomain) && !slices.ContainsFunc(allAnnotations, func(spellings []Annotation) bool {
			return string(spellings[0]) == name
		}) {
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
			if n := Edits(nameOf(unknown), nameOf(string(known))); n < fewest {
				meant, fewest = spellings[0], n
			}
		}
	}
	return meant
}

// Edits returns the Levenshtein distance: how many letters must be added, removed or replaced to make
// one text the other.
func Edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
