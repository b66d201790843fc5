package whatif

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Deletion is what becomes of objects that are deleted, as "IPAddressPool lan".
type Deletion struct {
	// Gone are those that go at once, and Staying those that finalizers keep: a pool hands nothing out any more, and stays until no
	// Service has an address of it.
	Gone    []string `json:"gone,omitempty"`
	Staying []string `json:"staying,omitempty"`
}

// Delete is a Snapshot after the objects that files name were deleted. Those that are not there are left out.
func Delete(taken *snapshot.Snapshot, files []unstructured.Unstructured) (*snapshot.Snapshot, Deletion, error) {
	named := keysOf(files)
	return without(taken, func(k key) bool { return named[k] })
}

// Prune is a Snapshot after all configuration of Clarion was deleted that files do not have. Services stay, and what the programs write.
func Prune(taken *snapshot.Snapshot, files []unstructured.Unstructured) (*snapshot.Snapshot, Deletion, error) {
	named := keysOf(files)
	return without(taken, func(k key) bool {
		return k.Group == v1alpha1.SchemeGroupVersion.Group && k.Kind != "Announcer" && !named[k]
	})
}

func keysOf(files []unstructured.Unstructured) map[key]bool {
	named := map[key]bool{}
	for i := range files {
		named[keyOf(&files[i])] = true
	}
	return named
}

func without(taken *snapshot.Snapshot, deleted func(key) bool) (after *snapshot.Snapshot, d Deletion, err error) {
	o, err := objectsOf(taken)
	if err != nil {
		return nil, d, err
	}
	for _, k := range o.order {
		if !deleted(k) {
			continue
		}
		name := k.Kind + " " + strings.TrimPrefix(k.NamespacedName.String(), "/")
		// The cloud-controller-manager removes the finalizer of a Service at once.
		if object := o.byKey[k]; k.Kind != "Service" && len(object.GetFinalizers()) > 0 {
			object.SetDeletionTimestamp(&metav1.Time{Time: taken.Time})
			d.Staying = append(d.Staying, name)
			continue
		}
		delete(o.byKey, k)
		d.Gone = append(d.Gone, name)
	}
	after, err = o.snapshot(taken)
	return after, d, err
}
