package causes

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// kinds are those of the API that are looked at, with their resources.
var kinds = []struct {
	resource schema.GroupVersionResource
	kind     string
}{
	{schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "Namespace"},
	{schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, "Node"},
	{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "Pod"},
	{schema.GroupVersionResource{Version: "v1", Resource: "services"}, "Service"},
	{schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, "Secret"},
	{schema.GroupVersionResource{Version: "v1", Resource: "events"}, "Event"},
	{schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}, "EndpointSlice"},
	{schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}, "Lease"},
	{v1alpha1.SchemeGroupVersion.WithResource("ipaddresspools"), "IPAddressPool"},
	{v1alpha1.SchemeGroupVersion.WithResource("ipaddressreservations"), "IPAddressReservation"},
	{v1alpha1.SchemeGroupVersion.WithResource("l2advertisements"), "L2Advertisement"},
	{v1alpha1.SchemeGroupVersion.WithResource("bgppeers"), "BGPPeer"},
	{v1alpha1.SchemeGroupVersion.WithResource("bgpadvertisements"), "BGPAdvertisement"},
	{v1alpha1.SchemeGroupVersion.WithResource("communities"), "Community"},
	{v1alpha1.SchemeGroupVersion.WithResource("bfdprofiles"), "BFDProfile"},
	{v1alpha1.SchemeGroupVersion.WithResource("announcers"), "Announcer"},
}

// tracker has the objects of a resource.
func (w *World) tracker(resource schema.GroupVersionResource) clienttesting.ObjectTracker {
	if resource.Group == v1alpha1.SchemeGroupVersion.Group {
		return w.clarion.Tracker()
	}
	return w.kube.Tracker()
}

// objects are all that the API has now.
func (w *World) objects() (all []runtime.Object) {
	for _, k := range kinds {
		list, err := w.tracker(k.resource).List(k.resource, k.resource.GroupVersion().WithKind(k.kind), metav1.NamespaceAll)
		if err != nil {
			w.Fatal(err)
		}
		if err := eachListItem(list, func(o runtime.Object) { all = append(all, o.DeepCopyObject()) }); err != nil {
			w.Fatal(err)
		}
	}
	return all
}

// edit changes an object as a user does.
func edit[T object](w *World, name string, change func(T)) {
	w.Helper()
	for _, o := range of[T](w.objects()) {
		if o.GetName() == name {
			change(o)
			o.SetGeneration(o.GetGeneration() + 1)
			w.update(o)
		}
	}
}

// drop deletes an object as the API server does that has no finalizer left.
func drop[T object](w *World, name string) {
	w.Helper()
	for _, o := range of[T](w.objects()) {
		if o.GetName() == name {
			resource := resourceOf(o)
			if err := w.tracker(resource).Delete(resource, o.GetNamespace(), name); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// update writes an object, status and all.
func (w *World) update(o object) {
	w.Helper()
	var err error
	if resource := resourceOf(o); isOurs(o) {
		_, err = w.clarion.Invokes(clienttesting.NewUpdateAction(resource, o.GetNamespace(), o), o)
	} else {
		_, err = w.kube.Invokes(clienttesting.NewUpdateAction(resource, o.GetNamespace(), o), o)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func resourceOf(o runtime.Object) schema.GroupVersionResource {
	for _, k := range kinds {
		if lower(k.kind) == kindOf(o) {
			return k.resource
		}
	}
	panic("no resource for " + kindOf(o))
}
