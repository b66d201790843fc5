package plan

import (
	"iter"
	"maps"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
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

// L2Advertisement is how it stands with an L2Advertisement. This is, as for those below, as of the
// last Settle.
func (v *View) L2Advertisement(name string) State[v1alpha1.L2AdvertisementSpec] {
	return v.l2Advertisements.state(name)
}

// BGPAdvertisement is how it stands with a BGPAdvertisement.
func (v *View) BGPAdvertisement(name string) State[v1alpha1.BGPAdvertisementSpec] {
	return v.bgpAdvertisements.state(name)
}

// BGPPeer is how it stands with a BGPPeer.
func (v *View) BGPPeer(name string) State[v1alpha1.BGPPeerSpec] { return v.bgpPeers.state(name) }

// BFDProfile is how it stands with a BFDProfile.
func (v *View) BFDProfile(name string) State[v1alpha1.BFDProfileSpec] {
	return v.bfdProfiles.state(name)
}

// Community is how it stands with a Community.
func (v *View) Community(name string) State[v1alpha1.CommunitySpec] { return v.communities.state(name) }

// Nodes are the names of those that there are, in no order.
func (v *View) Nodes() iter.Seq[string] { return maps.Keys(v.nodes) }

// HasAddress says whether a Service has this address from us.
func (v *View) HasAddress(ip netip.Addr) bool { return len(v.byAddress[ip]) > 0 }

// InternalIPs are those of a Node, in its order. They must not be modified.
func (v *View) InternalIPs(node string) []netip.Addr {
	if n := v.nodes[node]; n != nil {
		return n.addresses
	}
	return nil
}

// sight is what a View has last seen of a node: another one after every change.
type sight struct {
	node      *node
	announcer *announcer
}

func (v *View) sightOf(name string) sight { return sight{v.nodes[name], v.announcers[name]} }

// NodeReady says whether there is a Node of that name which is not known to be NotReady.
func (v *View) NodeReady(name string) bool {
	n := v.nodes[name]
	return n != nil && !n.notReady
}

// remarks say of what an advertisement selects nothing at present, which is no mistake.
func (v *View) remarks(s *selection) (remarks []string) {
	if len(s.nodes) > 0 && !anyOf(v.nodes, func(n *node) bool { return s.selectsNode(n.labels) }) {
		remarks = append(remarks, selectsNone("node"))
	}
	if len(s.pools)+len(s.poolSelectors) > 0 && !anyOf(v.pools, s.selectsPool) {
		remarks = append(remarks, selectsNone("IPAddressPool"))
	}
	if len(s.services) > 0 && !anyOf(v.services, func(o *service) bool { return s.selectsService(o.labels) }) {
		remarks = append(remarks, selectsNone("Service that has an address"))
	}
	return remarks
}

func anyOf[K comparable, V any](all map[K]V, is func(V) bool) bool {
	for _, v := range all {
		if is(v) {
			return true
		}
	}
	return false
}

// L2Remarks are what an L2Advertisement selects nothing of at present, as sentences.
func (v *View) L2Remarks(name string) []string {
	if a := v.l2Advertisements.inForce[name]; a != nil {
		return v.remarks(&a.selection)
	}
	return nil
}

// BGPRemarks are what a BGPAdvertisement selects nothing of at present, as sentences.
func (v *View) BGPRemarks(name string) []string {
	if a := v.bgpAdvertisements.inForce[name]; a != nil {
		return v.remarks(&a.selection)
	}
	return nil
}
