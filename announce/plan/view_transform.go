package plan

import (
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// TransformFor returns the transform of informers for a node: it reduces a watched object to what
// Views and the announcer of the node use. In a large cluster every node holds every Service,
// EndpointSlice and Node, so what is not needed must not stay. Of the endpoints of another node,
// one in every EndpointSlice is enough. To transform an object twice changes nothing.
func TransformFor(node string) func(object any) (any, error) {
	return func(object any) (any, error) { return transform(object, node) }
}

func transform(object any, own string) (any, error) {
	switch o := object.(type) {
	case *corev1.Service:
		m := transformMeta(&o.ObjectMeta)
		m.Annotations = loadbalancer.WishAnnotations(o.Annotations)
		service := &corev1.Service{
			ObjectMeta: m,
			Spec: corev1.ServiceSpec{
				Type:                  o.Spec.Type,
				LoadBalancerClass:     o.Spec.LoadBalancerClass,
				ExternalTrafficPolicy: o.Spec.ExternalTrafficPolicy,
				HealthCheckNodePort:   o.Spec.HealthCheckNodePort,
				LoadBalancerIP:        o.Spec.LoadBalancerIP,
			},
			Status: corev1.ServiceStatus{LoadBalancer: o.Status.LoadBalancer, Conditions: transformConditions(o.Status.Conditions)},
		}
		if slices.Contains(o.Finalizers, scope.Finalizer) {
			service.Finalizers = []string{scope.Finalizer}
		}
		return service, nil
	case *discoveryv1.EndpointSlice:
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  transformMeta(&o.ObjectMeta),
			AddressType: o.AddressType,
		}
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: o.Labels[discoveryv1.LabelServiceName]}
		at := map[string]int{}
		for _, e := range o.Endpoints {
			if !CanServe(e.Conditions) {
				continue
			}
			node, reduced := "", discoveryv1.Endpoint{NodeName: e.NodeName, Conditions: e.Conditions}
			if e.NodeName != nil {
				node = *e.NodeName
			}
			i, seen := at[node]
			switch {
			case node == own || !seen:
				at[node] = len(slice.Endpoints)
				slice.Endpoints = append(slice.Endpoints, reduced)
			case isReady(e.Conditions):
				slice.Endpoints[i] = reduced // whether any is ready counts
			}
		}
		return slice, nil
	case *corev1.Node:
		node := &corev1.Node{ObjectMeta: transformMeta(&o.ObjectMeta)}
		if drain, annotated := o.Annotations[v1alpha1.AnnotationDrain]; annotated {
			node.Annotations = map[string]string{v1alpha1.AnnotationDrain: drain}
		}
		for _, t := range o.Spec.Taints {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: t.Key})
		}
		for _, a := range o.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				node.Status.Addresses = append(node.Status.Addresses, a)
			}
		}
		for _, c := range o.Status.Conditions {
			if c.Type == corev1.NodeNetworkUnavailable || c.Type == corev1.NodeReady {
				node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
			}
		}
		return node, nil
	case *v1alpha1.Announcer:
		if o.Name != own {
			o.Status.Host = v1alpha1.HostStatus{}
		}
	case *corev1.Secret:
		secret := &corev1.Secret{ObjectMeta: transformMeta(&o.ObjectMeta), Type: o.Type}
		if password, given := o.Data[corev1.BasicAuthPasswordKey]; given {
			secret.Data = map[string][]byte{corev1.BasicAuthPasswordKey: password}
		}
		return secret, nil
	}
	if m, err := meta.Accessor(object); err == nil {
		m.SetManagedFields(nil)
	}
	return object, nil
}

// Concerns says whether a change of an object of our API concerns plans: one of the spec or the
// labels does, one of the status does not, but for the last good version of a spec that is not what
// is written, and for what the allocator has recorded of a pool: the spec that is in force, and which
// addresses belong to other pools. It must not be asked of an Announcer, whose status is what matters.
func Concerns(before, after metav1.Object) bool {
	if pool, is := before.(*v1alpha1.IPAddressPool); is {
		recorded, now := pool.Status, after.(*v1alpha1.IPAddressPool).Status
		if !reflect.DeepEqual(recorded.AppliedSpec, now.AppliedSpec) || !slices.Equal(recorded.Contested, now.Contested) {
			return true
		}
	}
	return before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration() || !maps.Equal(before.GetLabels(), after.GetLabels()) ||
		recordConcerns(before, after)
}

// transformConditions keeps what tells whose Service it is: see package scope.
func transformConditions(conditions []metav1.Condition) []metav1.Condition {
	if assigned := meta.FindStatusCondition(conditions, v1alpha1.ConditionAddressAssigned); assigned != nil {
		return []metav1.Condition{{Type: assigned.Type, Status: assigned.Status}}
	}
	return nil
}

func transformMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:         m.Namespace,
		Name:              m.Name,
		UID:               m.UID,
		ResourceVersion:   m.ResourceVersion,
		CreationTimestamp: m.CreationTimestamp,
		DeletionTimestamp: m.DeletionTimestamp,
		Labels:            m.Labels,
	}
}
