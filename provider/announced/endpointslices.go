package announced

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/informer"
)

// newSliceInformer returns an informer of the EndpointSlices of Services that can have a load
// balancer, without what is not needed of them.
func newSliceInformer(kube kubernetes.Interface) cache.SharedIndexInformer {
	i := discoveryinformers.NewFilteredEndpointSliceInformer(kube, metav1.NamespaceAll, 0, nil, func(o *metav1.ListOptions) {
		o.LabelSelector = discoveryv1.LabelServiceName + ",!" + corev1.IsHeadlessService
	})
	informer.SetTransform(i, stripSlice)
	return i
}

// stripSlice leaves of an EndpointSlice what the evaluator needs, in one copy where many have the same: those of all Services come,
// and most are no load balancers.
func stripSlice(object any) (any, error) {
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return object, nil
	}
	stripped := &discoveryv1.EndpointSlice{AddressType: slice.AddressType, ObjectMeta: metav1.ObjectMeta{
		Namespace: intern(slice.Namespace), Name: slice.Name, UID: slice.UID, ResourceVersion: slice.ResourceVersion,
		Labels: map[string]string{discoveryv1.LabelServiceName: intern(slice.Labels[discoveryv1.LabelServiceName])},
	}}
	for _, endpoint := range slice.Endpoints {
		c := endpoint.Conditions
		if !plan.CanServe(c) {
			continue
		}
		kept := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{
			Ready: shared(c.Ready), Serving: shared(c.Serving), Terminating: shared(c.Terminating),
		}}
		if endpoint.NodeName != nil {
			kept.NodeName = new(intern(*endpoint.NodeName))
		}
		stripped.Endpoints = append(stripped.Endpoints, kept)
	}
	stripped.Endpoints = slices.Clip(stripped.Endpoints)
	return stripped, nil
}

// intern returns the one copy of a text that all share: each object comes with its own.
func intern(text string) string { return unique.Make(text).Value() }

var isTrue, isFalse = new(true), new(false)

// shared returns the one copy of a condition that all share; nil for nil.
func shared(condition *bool) *bool {
	switch {
	case condition == nil:
		return nil
	case *condition:
		return isTrue
	}
	return isFalse
}
