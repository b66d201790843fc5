package announce

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// stripFor reduces a watched object to what Views and the announcer of a node use. In a large cluster every node holds every
// Service, EndpointSlice and Node, so what is not needed must not stay: of the endpoints of another node, one in every
// EndpointSlice is enough. Stripping an object twice changes nothing.
func stripFor(node string) func(object any) (any, error) {
	return func(object any) (any, error) { return strip(object, node) }
}

func strip(object any, own string) (any, error) {
	switch o := object.(type) {
	case *corev1.Service:
		return &corev1.Service{
			ObjectMeta: stripMeta(&o.ObjectMeta),
			Spec: corev1.ServiceSpec{
				Type:                  o.Spec.Type,
				LoadBalancerClass:     o.Spec.LoadBalancerClass,
				ExternalTrafficPolicy: o.Spec.ExternalTrafficPolicy,
			},
			Status: corev1.ServiceStatus{LoadBalancer: o.Status.LoadBalancer},
		}, nil
	case *discoveryv1.EndpointSlice:
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  stripMeta(&o.ObjectMeta),
			AddressType: o.AddressType,
		}
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: o.Labels[discoveryv1.LabelServiceName]}
		seen := map[string]bool{}
		for _, e := range o.Endpoints {
			node := ""
			if e.NodeName != nil {
				node = *e.NodeName
			}
			if canServe(e.Conditions) && (node == own || !seen[node]) {
				seen[node] = true
				slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{NodeName: e.NodeName, Conditions: e.Conditions})
			}
		}
		return slice, nil
	case *corev1.Node:
		node := &corev1.Node{ObjectMeta: stripMeta(&o.ObjectMeta)}
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
	case *corev1.Secret:
		secret := &corev1.Secret{ObjectMeta: stripMeta(&o.ObjectMeta), Type: o.Type}
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

func stripMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
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
