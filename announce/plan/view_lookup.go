package plan

import (
	"iter"
	"maps"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// ServiceState is what a View knows of a Service. Two of them are equal if nothing has changed in
// between on which plans depend. The zero value is the state of a Service that has no address from
// us.
type ServiceState struct{ service *service }

// Addresses are the addresses of the Service in the order of its status. They must not be modified.
func (s ServiceState) Addresses() []netip.Addr {
	if s.service == nil {
		return nil
	}
	return s.service.addresses
}

// Service returns the state of a Service.
func (v *View) Service(name types.NamespacedName) ServiceState { return ServiceState{v.services[name]} }

// Services are those that have addresses from us, in no order.
func (v *View) Services() iter.Seq[types.NamespacedName] { return maps.Keys(v.services) }

// SliceOwner is the Service whose endpoints an EndpointSlice has; false if there is no such slice.
func (v *View) SliceOwner(slice types.NamespacedName) (service types.NamespacedName, known bool) {
	service, known = v.sliceOwner[slice]
	return service, known
}

// HasPool says whether there is an IPAddressPool of that name.
func (v *View) HasPool(name string) bool { return v.pools[name] != nil }

// NodeReady says whether there is a Node of that name which is not known to be NotReady.
func (v *View) NodeReady(name string) bool {
	n := v.nodes[name]
	return n != nil && !n.notReady
}
