package deadnodes

import (
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Whatever a Lease says, what is read of it is written and read again as the same.
func FuzzOf(f *testing.F) {
	f.Add("n1=2026-01-01T00:00:00Z,n2=2026-01-01T00:00:00.5+02:00")
	f.Add("=2026-01-01T00:00:00Z,n1=,n2,,n3=x")
	f.Add("n1=2026-01-01T00:00:00Z,n1=0001-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		lease := func(text string) *coordinationv1.Lease {
			return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationDeadNodes: text}}}
		}
		record := Of(lease(text))
		if len(record) > strings.Count(text, ",")+1 {
			t.Errorf("%q has %d entries", text, len(record))
		}
		if again := Of(lease(record.String())); !again.Equal(record) {
			t.Errorf("%q is read as %v, and written and read again as %v", text, record, again)
		}
	})
}
