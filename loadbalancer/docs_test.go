package loadbalancer

import (
	"os"
	"strings"
	"testing"
)

func TestTheUserDocumentationNamesEveryAnnotationAndReason(t *testing.T) {
	text, err := os.ReadFile("../docs/addresses.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, annotation := range []Annotation{AnnotationPool, AnnotationAddresses, AnnotationSharing, AnnotationMetalLBPool, AnnotationMetalLBAddresses, AnnotationMetalLBSharing} {
		names = append(names, string(annotation))
	}
	for _, reason := range []Reason{Assigned, PoolExhausted, NoMatchingPool, AddressInUse, AddressNotInPool, AddressReserved, AddressConflict, FamilyUnavailable, SharingConflict, InvalidRequest} {
		names = append(names, string(reason))
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/addresses.md does not name %s", name)
		}
	}
}
