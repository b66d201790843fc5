package pools

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// Objects are what says which addresses something else uses than the Services that Clarion serves.
type Objects struct {
	// APIServer are the EndpointSlices of the Service default/kubernetes.
	APIServer    []*discoveryv1.EndpointSlice
	Nodes        []*corev1.Node
	ServiceCIDRs []*networkingv1.ServiceCIDR
	Announcers   []*v1alpha1.Announcer
	Services     []*corev1.Service
	// Scope says which Services are served: what the others have is in use.
	Scope scope.Scope
}

// InUse returns the addresses that something else uses than the Services that Clarion serves. Of
// several about one address the first counts.
func InUse(o Objects) []loadbalancer.ReservedRange {
	return slices.Concat(
		apiServerRanges(o.APIServer),
		clusterRanges(slices.Clone(o.Nodes), slices.Clone(o.ServiceCIDRs)),
		hostRanges(o.Announcers, o.Nodes),
		serviceRanges(slices.Clone(o.Services), o.Scope),
	)
}

// ReadReservations returns the reservations that are in force, as a Controller that has just started
// reads them, and the Ready condition that each is to have, by name.
func ReadReservations(objects []*v1alpha1.IPAddressReservation) ([]loadbalancer.Reservation, map[string]metav1.Condition) {
	reservations, states := (&reservationReader{}).read(slices.Clone(objects))
	conditions := make(map[string]metav1.Condition, len(objects))
	for _, object := range objects {
		state := states[object.Name]
		conditions[object.Name] = status.ReadyCondition(state.reason, state.message, object.Generation)
	}
	return reservations, conditions
}
