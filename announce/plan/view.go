package plan

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// View is what the API says, reduced to what plans need and indexed by address. It remembers which
// addresses a change concerns, so that no others are planned again: for each protocol since the
// last plan of it. A View is not safe for concurrent use.
//
// Each of the methods that take an object reads it first and changes the View then. If it panics, it
// does so while reading, and the View has of this object what it had before.
type View struct {
	// drainTaints are the keys of the taints that have a node drained.
	drainTaints []string
	// ignoreExclusion says that the label counts for nothing that excludes nodes from load balancers.
	ignoreExclusion bool
	// scope is which Services are Clarion's.
	scope scope.Scope

	services map[types.NamespacedName]*service
	// backends are there for every Service of which we know anything.
	backends map[types.NamespacedName]*backends
	// sliceOwner has the Service of an EndpointSlice.
	sliceOwner       map[types.NamespacedName]types.NamespacedName
	pools            map[string]*pool
	l2Advertisements objects[v1alpha1.L2Advertisement, v1alpha1.L2AdvertisementSpec, l2Advertisement]
	nodes            map[string]*node
	announcers       map[string]*announcer
	// records are what announcers have recorded of their claims, and sliceOf the Announcer that a ClaimSlice is of.
	records map[string]*record
	sliceOf map[string]string
	// membership counts the changes of Nodes, and of which Announcers there are on which interfaces.
	membership uint64
	// inSight are the sorted names of the members that the gossip sees, and vanished those of them whose Announcer was deleted.
	inSight  []string
	vanished map[string]bool
	// claimOrder counts the states of Announcers and ClaimSlices that came after the first plan.
	claimOrder uint64
	bgpObjects
	// unsettled says that other versions of objects may be in force than before.
	unsettled bool

	addressIndex
	wishIndex
	confirmations confirmations
	kubeProxies   kubeProxies
	// sessions are those on which nodes send routes, by node.
	sessions map[string][]session

	layer2 layer2Changes
	routes routeChanges
}

// addressIndex has what the objects say of an address.
type addressIndex struct {
	// byAddress has the Services of an address, oldest first.
	byAddress map[netip.Addr][]*service
	// claims has the claims of all announcers on an address.
	claims map[netip.Addr][]claim
	// withPrevious counts the claims on an address that name previous owners.
	withPrevious map[netip.Addr]int
}

// NewView returns a View of an API without objects. A taint with one of the given keys has a node
// drained.
func NewView(drainTaints ...string) *View {
	return &View{
		drainTaints:      drainTaints,
		services:         map[types.NamespacedName]*service{},
		backends:         map[types.NamespacedName]*backends{},
		sliceOwner:       map[types.NamespacedName]types.NamespacedName{},
		pools:            map[string]*pool{},
		l2Advertisements: newObjects[l2Advertisement]("L2Advertisement", partsOfL2Advertisement),
		nodes:            map[string]*node{},
		announcers:       map[string]*announcer{},
		records:          map[string]*record{},
		sliceOf:          map[string]string{},
		vanished:         map[string]bool{},
		bgpObjects:       newBGPObjects(),
		addressIndex: addressIndex{
			byAddress:    map[netip.Addr][]*service{},
			claims:       map[netip.Addr][]claim{},
			withPrevious: map[netip.Addr]int{},
		},
		wishIndex:   newWishIndex(),
		kubeProxies: kubeProxies{serves: map[string]bool{}},
		sessions:    map[string][]session{},

		layer2: layer2Changes{all: true},
		routes: routeChanges{all: true},
	}
}

// SetClass has the View take Services of another load balancer class for Clarion's than that of package
// v1alpha1; "" is that one. It is to be called before any Service is set.
func (v *View) SetClass(class string) { v.scope.Class = class }

// IgnoreExclusion has the label node.kubernetes.io/exclude-from-external-load-balancers count for nothing. It is to be called before
// any Node is set.
func (v *View) IgnoreExclusion(ignore bool) { v.ignoreExclusion = ignore }

// SetService takes a Service as it is now; nil if it is gone.
func (v *View) SetService(name types.NamespacedName, object *corev1.Service) {
	for _, ip := range v.setWish(name, object, v.scope) {
		v.layer2.addresses.add(ip)
	}
	old := v.services[name]
	var s *service
	if object != nil {
		s = newService(object, old, v.scope)
	}
	if old == nil && s == nil || old != nil && s != nil && old.equal(s) {
		return
	}
	if old != nil {
		v.touch(old)
		v.removeService(old)
		if s == nil || !s.local || s.healthCheckPort == 0 {
			v.forgetConfirmation(old)
		}
		delete(v.services, name)
		v.forgetBackends(name)
	}
	if s != nil {
		s.backends = v.backendsOf(name)
		v.addService(s)
		v.services[name] = s
		v.touch(s)
		v.noteEndpoints(s, old != nil)
	}
}

func (x *addressIndex) addService(s *service) {
	for _, ip := range s.addresses {
		x.byAddress[ip] = append(x.byAddress[ip], s)
		slices.SortFunc(x.byAddress[ip], olderService)
	}
}

func (x *addressIndex) removeService(s *service) {
	for _, ip := range s.addresses {
		x.byAddress[ip] = slices.DeleteFunc(x.byAddress[ip], func(o *service) bool { return o == s })
		if len(x.byAddress[ip]) == 0 {
			delete(x.byAddress, ip)
		}
	}
}

func olderService(a, b *service) int {
	return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.name.Namespace, b.name.Namespace),
		cmp.Compare(a.name.Name, b.name.Name))
}

// SetEndpointSlice takes an EndpointSlice as it is now; nil if it is gone.
func (v *View) SetEndpointSlice(name types.NamespacedName, object *discoveryv1.EndpointSlice) {
	if object == nil {
		v.SetEndpoints(name, nil)
	} else {
		v.SetEndpoints(name, NewEndpoints(object))
	}
}

// ForgetEndpoints has the EndpointSlices of a Service gone, all of them: it is no load balancer any more.
func (v *View) ForgetEndpoints(service types.NamespacedName) {
	if b := v.backends[service]; b != nil {
		for name := range b.slices {
			v.SetEndpoints(types.NamespacedName{Namespace: service.Namespace, Name: name}, nil)
		}
	}
}

// SetEndpoints takes what an EndpointSlice has now; nil if it is gone.
func (v *View) SetEndpoints(name types.NamespacedName, e *Endpoints) {
	if owner, known := v.sliceOwner[name]; known && (e == nil || e.service != owner.Name) {
		delete(v.sliceOwner, name)
		b := v.backends[owner]
		delete(b.slices, name.Name)
		b.merge()
		v.noteEndpoints(v.services[owner], true)
		v.forgetBackends(owner)
		v.touch(v.services[owner])
	}
	if e == nil {
		return
	}
	owner := types.NamespacedName{Namespace: name.Namespace, Name: e.service}
	b := v.backendsOf(owner)
	old, known := b.slices[name.Name]
	if known && old.Equal(e) {
		return
	}
	b.slices[name.Name] = e
	v.sliceOwner[name] = owner
	if s := v.services[owner]; known && old.onSameNodes(e) {
		if s != nil {
			v.routes.touch(s.addresses) // how many there are is for the weights of routes alone
		}
		return
	}
	served := b.serve(v.confirmations.node)
	b.merge()
	v.noteEndpoints(v.services[owner], served)
	v.touch(v.services[owner])
}

func (v *View) backendsOf(service types.NamespacedName) *backends {
	b := v.backends[service]
	if b == nil {
		b = newBackends()
		v.backends[service] = b
	}
	return b
}

// forgetBackends forgets the backends of a Service that is gone and has none.
func (v *View) forgetBackends(service types.NamespacedName) {
	if b := v.backends[service]; b != nil && v.services[service] == nil && len(b.slices) == 0 {
		delete(v.backends, service)
	}
}

// touch has the addresses of a Service planned again, and on layer 2 those that belong together
// with them. No Service is fine.
func (v *View) touch(s *service) {
	if s == nil {
		return
	}
	for _, ip := range v.together(s.addresses[0]) {
		v.layer2.addresses.add(ip)
	}
	v.routes.touch(s.addresses)
}

// SetPool takes an IPAddressPool as it is now; nil if it is gone.
func (v *View) SetPool(name string, object *v1alpha1.IPAddressPool) {
	old := v.pools[name]
	if object == nil {
		v.unsettled = v.unsettled || old != nil
		v.layer2.all = v.layer2.all || old != nil
		v.routes.all = v.routes.all || old != nil
		delete(v.pools, name)
		return
	}
	p := newPool(object, old)
	v.unsettled = v.unsettled || old == nil
	if old == nil || !old.equal(p) {
		v.layer2.all, v.routes.all = true, true
	}
	v.pools[name] = p
}

// SetL2Advertisement takes an L2Advertisement as it is now; nil if it is gone.
func (v *View) SetL2Advertisement(name string, object *v1alpha1.L2Advertisement) {
	v.l2Advertisements.set(name, object)
	v.unsettled = true
}

// Settle finds out which versions of the objects are in force whose spec can be wrong. Every plan
// does so first; it is to be called where none is made for a long time, since the versions in between
// are not known later.
func (v *View) Settle() {
	if !v.unsettled {
		return
	}
	v.unsettled = false
	layer2 := v.l2Advertisements.settle(newL2Advertisement, func(a *v1alpha1.L2Advertisement) error {
		return missingOf(noIPAddressPool, a.Spec.IPAddressPools, v.HasPool)
	}, nil)
	v.layer2.all = v.layer2.all || layer2
	v.routes.all = v.settleBGP() || v.routes.all
}

// SetNode takes a Node as it is now; nil if it is gone.
func (v *View) SetNode(name string, object *corev1.Node) {
	old := v.nodes[name]
	if object == nil {
		v.layer2.all = v.layer2.all || old != nil
		v.membership++
		v.routes.touchNode(name)
		delete(v.nodes, name)
		return
	}
	n := newNode(object, v.drainTaints, v.ignoreExclusion)
	if old == nil || !old.equal(n) {
		v.layer2.all = true
		v.membership++
		v.routes.touchNode(name)
	}
	v.nodes[name] = n
}

// ServiceRef names a Service.
type ServiceRef struct {
	types.NamespacedName
	UID types.UID
}

// ServicesOf are the Services that have an address, oldest first.
func (v *View) ServicesOf(ip netip.Addr) []ServiceRef {
	var refs []ServiceRef
	for _, s := range v.byAddress[ip] {
		refs = append(refs, ServiceRef{s.name, s.uid})
	}
	return refs
}

// Peers are the addresses of the nodes that an announcer belongs to, by name. The address is not
// valid for a node that has none yet.
func (v *View) Peers() map[string]netip.Addr {
	peers := make(map[string]netip.Addr, len(v.announcers))
	for name := range v.announcers {
		if n := v.nodes[name]; n != nil {
			peers[name] = n.address
		}
	}
	return peers
}

// HasNode says whether there is a Node of that name.
func (v *View) HasNode(name string) bool { return v.nodes[name] != nil }

// NodeAddress is the address of a node, IPv4 if it has one; not valid if there is none.
func (v *View) NodeAddress(name string) netip.Addr {
	if n := v.nodes[name]; n != nil {
		return n.address
	}
	return netip.Addr{}
}

// Membership is another number whenever Peers, MACs, NodeAddresses or NodesWithoutAnnouncer may have changed.
func (v *View) Membership() uint64 { return v.membership }

// NodeAddresses are the addresses of all nodes, sorted.
func (v *View) NodeAddresses() (addresses []netip.Addr) {
	for _, n := range v.nodes {
		addresses = append(addresses, n.addresses...)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// MACs are the nodes whose announcers answer with a hardware address, by that address as text.
func (v *View) MACs() map[string]string {
	macs := map[string]string{}
	for name, a := range v.announcers {
		for _, mac := range a.former {
			macs[mac] = name
		}
	}
	for name, a := range v.announcers {
		for _, mac := range a.hardware() {
			macs[mac] = name
		}
	}
	return macs
}

// NodesWithoutAnnouncer are the addresses of the nodes that have no Announcer, by name.
func (v *View) NodesWithoutAnnouncer() map[string][]netip.Addr {
	nodes := map[string][]netip.Addr{}
	for name, n := range v.nodes {
		if v.announcers[name] == nil {
			nodes[name] = n.addresses
		}
	}
	return nodes
}

// draining says whether the addresses of a node leave it on purpose.
func (v *View) draining(name string) bool {
	n := v.nodes[name]
	return n != nil && len(n.drainedBy) > 0
}

// Complete says whether all nodes that are ready and may announce have their announcer among those.
func (v *View) Complete(alive []string) bool {
	for name, n := range v.nodes {
		if _, there := slices.BinarySearch(alive, name); !there && !n.notReady && !n.excluded {
			return false
		}
	}
	return true
}

// group names the addresses that belong together with one; "" for one that is alone.
func (v *View) group(ip netip.Addr) string {
	together := v.together(ip)
	if len(together) == 1 {
		return ""
	}
	return slices.MinFunc(together, netip.Addr.Compare).String()
}

// together are the addresses that belong together with one, which is the first of them. Two do if a
// Service has both, or if Services that share addresses connect them.
func (v *View) together(ip netip.Addr) []netip.Addr {
	together := []netip.Addr{ip}
	for i := 0; i < len(together); i++ {
		for _, s := range v.byAddress[together[i]] {
			for _, other := range s.addresses {
				if !slices.Contains(together, other) {
					together = append(together, other)
				}
			}
		}
	}
	return together
}
