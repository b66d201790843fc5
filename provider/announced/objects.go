package announced

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// The set methods take an object as it is now, nil if it is gone, and mark the Services that it
// concerns.

func (e *evaluator) setService(name types.NamespacedName, object *corev1.Service) {
	before := e.view.Service(name)
	e.view.SetService(name, object)
	delete(e.failed, name)
	after := e.view.Service(name)
	concerned := len(before.Addresses())+len(after.Addresses()) > 0
	if object != nil {
		said := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionAnnounced)
		concerned = concerned || said != nil // that is to be taken back
		if said != nil && said.Status == metav1.ConditionTrue {
			for _, address := range after.Addresses() {
				e.announced[address] = struct{}{}
			}
		}
	}
	if !concerned {
		return
	}
	e.marked[name] = struct{}{}
	if before == after {
		return
	}
	for _, address := range before.Addresses() {
		if len(e.view.ServicesOf(address)) == 0 {
			delete(e.announced, address)
		}
	}
	// Those with whom it shares an address are concerned too.
	for _, address := range slices.Concat(before.Addresses(), after.Addresses()) {
		e.markAddress(address)
	}
}

func (e *evaluator) setEndpointSlice(name types.NamespacedName, object *discoveryv1.EndpointSlice) {
	e.markOwner(name)
	e.view.SetEndpointSlice(name, object)
	if owner, known := e.view.SliceOwner(name); known {
		delete(e.failed, owner)
	}
	e.markOwner(name)
}

// markOwner marks the Service of an EndpointSlice and those with whom it shares an address.
func (e *evaluator) markOwner(slice types.NamespacedName) {
	if owner, known := e.view.SliceOwner(slice); known {
		for _, address := range e.view.Service(owner).Addresses() {
			e.markAddress(address)
		}
	}
}

func (e *evaluator) markAddress(address netip.Addr) {
	for _, service := range e.view.ServicesOf(address) {
		e.marked[service.NamespacedName] = struct{}{}
	}
}

func (e *evaluator) setPool(name string, object *v1alpha1.IPAddressPool) {
	e.allMarked = true
	e.view.SetPool(name, object)
}

func (e *evaluator) setNode(name string, object *corev1.Node) {
	e.allMarked = true
	if object == nil {
		delete(e.nodes, name)
		e.view.SetNode(name, nil)
		return
	}
	e.nodes[name] = object
	e.showNode(object)
}

// showNode has the plan take a node for drained if its announcer says so: by which taints, only the
// announcers are told.
func (e *evaluator) showNode(object *corev1.Node) {
	if draining(e.announcers[object.Name]) {
		object = object.DeepCopy()
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, v1alpha1.AnnotationDrain, "")
	}
	e.view.SetNode(object.Name, object)
}

func draining(announcer *v1alpha1.Announcer) bool {
	if announcer == nil {
		return false
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonDraining
}

func (e *evaluator) setAnnouncer(name string, object *v1alpha1.Announcer) {
	before := e.announcers[name]
	e.view.SetAnnouncer(name, object)
	e.markClaims(before, object)
	if before == nil || object == nil || before.Status.Layer2.Revision != object.Status.Layer2.Revision {
		for _, slice := range e.claimSlices { // what they say may count no more, or from now on
			if slice.Announcer == name {
				e.markSlice(slice)
			}
		}
	}
	// What an announcer says of its interfaces decides for which addresses it may be chosen.
	if before == nil || object == nil || !apiequality.Semantic.DeepEqual(before.Status.Layer2.Interfaces, object.Status.Layer2.Interfaces) {
		e.allMarked = true
	}
	if saysKubeProxyDown(before) != saysKubeProxyDown(object) || whyNotReady(before) != whyNotReady(object) {
		e.allMarked = true
	}
	if sessions := sessionsOf(object); !slices.Equal(sessions, e.sessions[name]) {
		e.sessions[name] = sessions
		e.allMarked = true
	}
	if len(sessionsOf(object)) > 0 && down(before) != down(object) {
		e.allMarked = true
	}
	if object == nil {
		delete(e.announcers, name)
		delete(e.sessions, name)
	} else {
		e.announcers[name] = object
	}
	if node := e.nodes[name]; node != nil && draining(before) != draining(object) {
		e.showNode(node)
		e.allMarked = true
	}
}

// setClaimSlice takes a ClaimSlice as it is now; nil if it is gone.
func (e *evaluator) setClaimSlice(name string, object *v1alpha1.ClaimSlice) {
	before := e.claimSlices[name]
	e.view.SetClaimSlice(name, object)
	e.markSlice(before)
	e.markSlice(object)
	if object == nil {
		delete(e.claimSlices, name)
	} else {
		e.claimSlices[name] = object
	}
}

// markSlice marks the Services of addresses of which a ClaimSlice says something; nil is fine.
func (e *evaluator) markSlice(slice *v1alpha1.ClaimSlice) {
	if slice == nil {
		return
	}
	mark := func(ip string) {
		if address, err := netip.ParseAddr(ip); err == nil {
			e.markAddress(address)
		}
	}
	for _, claim := range slice.Addresses {
		mark(claim.IP)
	}
	for _, ip := range slice.Released {
		mark(ip)
	}
}

// markClaims marks the Services of addresses about which an announcer says something else than before.
func (e *evaluator) markClaims(before, after *v1alpha1.Announcer) {
	claims := map[string]v1alpha1.Layer2Address{}
	mark := func(claim v1alpha1.Layer2Address) {
		if address, err := netip.ParseAddr(claim.IP); err == nil {
			e.markAddress(address)
		}
	}
	if before != nil {
		for _, claim := range before.Status.Layer2.Addresses {
			claims[claim.IP] = claim
		}
	}
	if after != nil {
		for _, claim := range after.Status.Layer2.Addresses {
			if !sameClaim(claims[claim.IP], claim) {
				mark(claim)
			}
			delete(claims, claim.IP)
		}
	}
	for _, claim := range claims { // released
		mark(claim)
	}
}

// sameClaim compares what is said about claims.
func sameClaim(a, b v1alpha1.Layer2Address) bool {
	return a.IP == b.IP && a.Epoch == b.Epoch && a.Since.Equal(&b.Since) && slices.Equal(a.Interfaces, b.Interfaces)
}

func (e *evaluator) setL2Advertisement(name string, object *v1alpha1.L2Advertisement) {
	if set(e.l2Advertisements, name, object, e.view.SetL2Advertisement) {
		e.allMarked = true
	}
}

func (e *evaluator) setBGPPeer(name string, object *v1alpha1.BGPPeer) {
	if set(e.peers, name, object, e.view.SetBGPPeer) {
		e.allMarked = true
	}
}

func (e *evaluator) setBGPAdvertisement(name string, object *v1alpha1.BGPAdvertisement) {
	if set(e.advertisements, name, object, e.view.SetBGPAdvertisement) {
		e.allMarked = true
	}
}

// setBFDProfile takes a BFDProfile. Nothing that is announced depends on it.
func (e *evaluator) setBFDProfile(name string, object *v1alpha1.BFDProfile) {
	set(e.profiles, name, object, e.view.SetBFDProfile)
}

func (e *evaluator) setCommunity(name string, object *v1alpha1.Community) {
	if set(e.communities, name, object, e.view.SetCommunity) {
		e.allMarked = true
	}
}

// set keeps an object, or deletes it if it is nil, and shows it to the view. It returns false for
// one that has but another status.
func set[T any](objects map[string]*T, name string, object *T, show func(string, *T)) bool {
	before := objects[name]
	if object == nil {
		delete(objects, name)
	} else {
		objects[name] = object
	}
	if before != nil && object != nil && !changesSpec(before, object) {
		return false
	}
	show(name, object)
	return true
}
