package loadbalancer

import (
	"os"
	"strings"
	"testing"
)

func TestTheUserDocumentationNamesEveryAnnotationAndReason(t *testing.T) {
	var annotations, reasons []string
	for _, annotation := range []Annotation{AnnotationPool, AnnotationAddresses, AnnotationSharing, AnnotationMetalLBPool, AnnotationMetalLBAddresses, AnnotationMetalLBSharing} {
		annotations = append(annotations, string(annotation))
	}
	for _, reason := range []Reason{Assigned, PoolExhausted, NoMatchingPool, AddressInUse, AddressNotInPool, AddressReserved, AddressConflict, FamilyUnavailable, SharingConflict, InvalidRequest} {
		reasons = append(reasons, string(reason))
	}
	expectNames(t, "addresses.md", annotations)
	expectNames(t, "reference/conditions.md", reasons)
}

// expectNames holds a document of docs against words that it has to have.
func expectNames(t *testing.T, path string, names []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/%s does not name %s", path, name)
		}
	}
}
