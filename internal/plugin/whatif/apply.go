package whatif

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/loadbalancer"
)

// Apply is a Snapshot after objects of files were applied to it, as kubectl does: labels and annotations are added, and spec is what the
// file says. Of objects of Kubernetes, what the file leaves out stays, since the API server has set that. The objects must be valid, with
// their defaults; those of other kinds than a Snapshot has are left out.
func Apply(taken *snapshot.Snapshot, files []unstructured.Unstructured) (*snapshot.Snapshot, error) {
	o, err := objectsOf(taken)
	if err != nil {
		return nil, err
	}
	for i := range files {
		file := files[i].DeepCopy()
		unstructured.RemoveNestedField(file.Object, "status")
		k := keyOf(file)
		if live := o.byKey[k]; live != nil {
			o.byKey[k] = merge(live, file)
			continue
		}
		file.SetUID(types.UID(fmt.Sprintf("new %s %s", k.Kind, k.NamespacedName)))
		file.SetCreationTimestamp(metav1.NewTime(taken.Time))
		file.SetGeneration(1)
		o.order = append(o.order, k)
		o.byKey[k] = file
	}
	return o.snapshot(taken)
}

// key names an object.
type key struct {
	schema.GroupVersionKind
	types.NamespacedName
}

func keyOf(object *unstructured.Unstructured) key {
	return key{object.GroupVersionKind(), types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}}
}

// objects are those of a Snapshot, in its order.
type objects struct {
	order []key
	byKey map[key]*unstructured.Unstructured
}

func objectsOf(taken *snapshot.Snapshot) (o objects, err error) {
	o.byKey = map[key]*unstructured.Unstructured{}
	for _, object := range taken.Objects() {
		u, err := unstructuredOf(object)
		if err != nil {
			return objects{}, err
		}
		o.order = append(o.order, keyOf(u))
		o.byKey[keyOf(u)] = u
	}
	return o, nil
}

// snapshot has the objects, as of the moment of another Snapshot.
func (o objects) snapshot(taken *snapshot.Snapshot) (*snapshot.Snapshot, error) {
	content := make([]unstructured.Unstructured, 0, len(o.order))
	for _, k := range o.order {
		if o.byKey[k] != nil {
			content = append(content, *o.byKey[k])
		}
	}
	after, err := snapshot.Parse(content)
	if err != nil {
		return nil, err
	}
	after.Time, after.Unread = taken.Time, taken.Unread
	for _, service := range after.Services {
		SetFamilies(service, after.IPAddressPools)
	}
	return after, nil
}

// unstructuredOf is an object of a Snapshot with its kind.
func unstructuredOf(object runtime.Object) (*unstructured.Unstructured, error) {
	kinds, _, err := snapshot.Scheme.ObjectKinds(object)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kinds[0])
	return u, nil
}

// merge is a live object after that of a file was applied to it.
func merge(live, file *unstructured.Unstructured) *unstructured.Unstructured {
	merged := live.DeepCopy()
	for _, field := range []string{"labels", "annotations"} {
		if set, found, _ := unstructured.NestedMap(file.Object, "metadata", field); found {
			overlay(merged.Object, map[string]any{"metadata": map[string]any{field: set}})
		}
	}
	spec, said := file.Object["spec"]
	switch {
	case scheme.Scheme.Recognizes(live.GroupVersionKind()) && said:
		overlay(merged.Object, map[string]any{"spec": spec})
	case said:
		merged.Object["spec"] = spec
	}
	if !equality.Semantic.DeepEqual(merged.Object["spec"], live.Object["spec"]) {
		merged.SetGeneration(live.GetGeneration() + 1)
	}
	return merged
}

// overlay sets the fields of an object that another one has, and leaves the others alone. Lists are replaced.
func overlay(object, fields map[string]any) {
	for field, value := range fields {
		below, isMap := value.(map[string]any)
		if in, wasMap := object[field].(map[string]any); isMap && wasMap {
			overlay(in, below)
			continue
		}
		object[field] = value
	}
}

// Settled is what follows once the objects have become those of another Snapshot, and the cloud-controller-manager has answered all
// Services. Of the State before, only its Answers and what was asked of it already remain of use.
func Settled(before *snapshot.State, after *snapshot.Snapshot) *snapshot.State {
	next := before.Next(after)
	settled := after.Clone()
	for _, service := range settled.Services {
		answer, asked := next.Answers[snapshot.NameOf(service)]
		if !asked {
			continue
		}
		service.Status.LoadBalancer.Ingress = nil
		for _, ip := range answer.Addresses {
			service.Status.LoadBalancer.Ingress = append(service.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip.String()})
		}
		meta.SetStatusCondition(&service.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: string(loadbalancer.Assigned),
		})
	}
	for _, pool := range settled.IPAddressPools {
		pool.Status.Contested = next.Pools[pool.Name].Contested
		pool.Status.AppliedSpec = next.Pools[pool.Name].AppliedSpec.DeepCopy()
	}
	state := settled.State()
	state.Answers, state.Pools, state.Allocator = next.Answers, next.Pools, next.Allocator
	return state
}
