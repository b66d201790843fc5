package provider

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

const (
	// nobodysNode is the name of the node whose plan an observer makes: no Node can have it.
	nobodysNode = "*"
	// stopGrace is how long an announcer that was stopped counts as alive: on a healthy node, its addresses stay its own while
	// it restarts.
	stopGrace = time.Minute
)

// observer knows how it stands with the announcement of every address of a Service: by what the announcers have recorded, and
// where that says nothing by the plan that the announcers make too. It has no clock and no client, and is not safe for
// concurrent use.
type observer struct {
	view    *plan.View
	planner *plan.Layer2Planner
	planned bool
	// routes explains what BGP makes of an address, by the same view.
	routes *plan.BGPPlanner

	services map[types.NamespacedName]*corev1.Service
	// byAddress has the Services of an address.
	byAddress map[netip.Addr][]types.NamespacedName
	// sliceOwner has the Service of an EndpointSlice.
	sliceOwner map[types.NamespacedName]types.NamespacedName
	announcers map[string]*v1alpha1.Announcer
	nodes      map[string]*corev1.Node
	// ready are the nodes that are not known to be NotReady.
	ready map[string]bool
	// alive are the nodes whose announcer is.
	alive  []string
	claims map[netip.Addr][]claim
	// sessions are the BGPPeers that nodes have sessions with, sorted.
	sessions       map[string][]string
	peers          map[string]bgpObject[*v1alpha1.BGPPeer]
	advertisements map[string]bgpObject[*v1alpha1.BGPAdvertisement]
	profiles       map[string]bgpObject[*v1alpha1.BFDProfile]
	pools          map[string]bool
	// contested are the addresses for which strangers answer.
	contested map[netip.Addr]contest

	// marked are the Services to look at again, if not all.
	marked    map[types.NamespacedName]struct{}
	allMarked bool
}

func newObserver() *observer {
	view := plan.NewView()
	return &observer{
		view:     view,
		planner:  plan.NewLayer2Planner(view, nobodysNode),
		routes:   plan.NewBGPPlanner(view, nobodysNode),
		sessions: map[string][]string{},
		peers:    map[string]bgpObject[*v1alpha1.BGPPeer]{},
		pools:    map[string]bool{},
		services: map[types.NamespacedName]*corev1.Service{},

		advertisements: map[string]bgpObject[*v1alpha1.BGPAdvertisement]{},
		profiles:       map[string]bgpObject[*v1alpha1.BFDProfile]{},

		byAddress:  map[netip.Addr][]types.NamespacedName{},
		sliceOwner: map[types.NamespacedName]types.NamespacedName{},
		announcers: map[string]*v1alpha1.Announcer{},
		nodes:      map[string]*corev1.Node{},
		ready:      map[string]bool{},
		claims:     map[netip.Addr][]claim{},
		contested:  map[netip.Addr]contest{},
		marked:     map[types.NamespacedName]struct{}{},
	}
}

// The set methods take an object as it is now; nil if it is gone.

func (o *observer) setService(name types.NamespacedName, object *corev1.Service) {
	o.view.SetService(name, object)
	if object != nil && len(o.addressesOf(object)) == 0 && meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionAnnounced) == nil {
		object = nil // nothing to say about it, nor to take back
	}
	old := o.services[name]
	if old == nil && object == nil {
		return
	}
	o.marked[name] = struct{}{}
	if old != nil && object != nil && apiequality.Semantic.DeepEqual(old.Spec, object.Spec) && old.UID == object.UID &&
		apiequality.Semantic.DeepEqual(old.Labels, object.Labels) &&
		apiequality.Semantic.DeepEqual(old.Status.LoadBalancer, object.Status.LoadBalancer) &&
		old.DeletionTimestamp.Equal(object.DeletionTimestamp) {
		o.services[name] = object
		return
	}
	// Those with whom it shares an address are concerned too.
	for _, address := range o.addressesOf(old) {
		o.markAddress(address)
		if o.byAddress[address] = slices.DeleteFunc(o.byAddress[address], func(n types.NamespacedName) bool { return n == name }); len(o.byAddress[address]) == 0 {
			delete(o.byAddress, address)
		}
	}
	delete(o.services, name)
	if object == nil {
		return
	}
	o.services[name] = object
	for _, address := range o.addressesOf(object) {
		o.byAddress[address] = append(o.byAddress[address], name)
		o.markAddress(address)
	}
}

func (o *observer) setEndpointSlice(name types.NamespacedName, object *discoveryv1.EndpointSlice) {
	o.view.SetEndpointSlice(name, object)
	if owner, known := o.sliceOwner[name]; known {
		o.markAddressesOf(owner)
		delete(o.sliceOwner, name)
	}
	if object != nil {
		owner := types.NamespacedName{Namespace: object.Namespace, Name: object.Labels[discoveryv1.LabelServiceName]}
		o.sliceOwner[name] = owner
		o.markAddressesOf(owner)
	}
}

func (o *observer) setPool(name string, object *v1alpha1.IPAddressPool) {
	o.view.SetPool(name, object)
	o.allMarked = true
	if object == nil {
		delete(o.pools, name)
	} else {
		o.pools[name] = true
	}
}

func (o *observer) setAdvertisement(name string, object *v1alpha1.L2Advertisement) error {
	o.allMarked = true
	return o.view.SetL2Advertisement(name, object)
}

func (o *observer) setNode(name string, object *corev1.Node) {
	o.allMarked = true
	if object == nil {
		o.view.SetNode(name, nil)
		delete(o.nodes, name)
		delete(o.ready, name)
		return
	}
	o.nodes[name] = object
	o.showNode(object)
	o.ready[name] = !slices.ContainsFunc(object.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
	})
}

// showNode has the plan take a node for drained if its announcer says so: by which taints, only the announcers are told.
func (o *observer) showNode(object *corev1.Node) {
	if draining(o.announcers[object.Name]) {
		object = object.DeepCopy()
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, v1alpha1.AnnotationDrain, "")
	}
	o.view.SetNode(object.Name, object)
}

func draining(announcer *v1alpha1.Announcer) bool {
	if announcer == nil {
		return false
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonDraining
}

func (o *observer) setAnnouncer(name string, object *v1alpha1.Announcer) {
	o.view.SetAnnouncer(name, object)
	before, after := claimsOf(o.announcers[name]), claimsOf(object)
	for address, c := range before {
		if after[address] != c {
			o.markAddress(address)
			if o.claims[address] = slices.DeleteFunc(o.claims[address], func(d claim) bool { return d == c }); len(o.claims[address]) == 0 {
				delete(o.claims, address)
			}
		}
	}
	for address, c := range after {
		if before[address] != c {
			o.markAddress(address)
			o.claims[address] = append(o.claims[address], c)
			slices.SortFunc(o.claims[address], claim.better)
		}
	}
	// What an announcer says of its interfaces decides for which addresses it may be chosen.
	if old := o.announcers[name]; old == nil || object == nil || !apiequality.Semantic.DeepEqual(old.Status.Layer2.Interfaces, object.Status.Layer2.Interfaces) {
		o.allMarked = true
	}
	if sessions := sessionsOf(object); !slices.Equal(sessions, o.sessions[name]) {
		o.sessions[name] = sessions
		o.allMarked = true
	}
	drains := draining(o.announcers[name])
	if object == nil {
		delete(o.announcers, name)
		delete(o.sessions, name)
	} else {
		o.announcers[name] = object
	}
	if node := o.nodes[name]; node != nil && drains != draining(object) {
		o.showNode(node)
		o.allMarked = true
	}
}

func claimsOf(announcer *v1alpha1.Announcer) map[netip.Addr]claim {
	if announcer == nil {
		return nil
	}
	claims := make(map[netip.Addr]claim, len(announcer.Status.Layer2.Addresses))
	for _, c := range announcer.Status.Layer2.Addresses {
		if address, err := netip.ParseAddr(c.IP); err == nil {
			claims[address] = claim{
				node:       announcer.Name,
				interfaces: and(slices.Sorted(slices.Values(c.Interfaces))),
				epoch:      c.Epoch,
				since:      c.Since.Unix(),
			}
		}
	}
	return claims
}

func (o *observer) markAddressesOf(service types.NamespacedName) {
	for _, address := range o.addressesOf(o.services[service]) {
		o.markAddress(address)
	}
}

func (o *observer) markAddress(address netip.Addr) {
	for _, service := range o.byAddress[address] {
		o.marked[service] = struct{}{}
	}
}

// addressesOf are the addresses that a Service has from us, in the order of its status.
func (o *observer) addressesOf(service *corev1.Service) []netip.Addr {
	if service == nil || service.DeletionTimestamp != nil || !scope.Served(service) {
		return nil
	}
	var addresses []netip.Addr
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil && !slices.Contains(addresses, address.Unmap()) {
			addresses = append(addresses, address.Unmap())
		}
	}
	return addresses
}

// look returns the Announced conditions of the Services for which they may have changed; nil for those that are to have none.
// If time alone will change something, again says when; it is zero otherwise.
func (o *observer) look(now time.Time) (conditions map[types.NamespacedName]*metav1.Condition, again time.Time) {
	alive, again := o.living(now)
	if !slices.Equal(alive, o.alive) {
		o.alive = alive
		o.planner.SetAlive(alive)
		o.allMarked = true
	}
	o.listen()
	o.routes.Plan(now)
	if o.allMarked {
		for name := range o.services {
			o.marked[name] = struct{}{}
		}
	}
	o.planned = false
	conditions = make(map[types.NamespacedName]*metav1.Condition, len(o.marked))
	for name := range o.marked {
		conditions[name] = o.condition(name, now)
	}
	o.marked, o.allMarked = map[types.NamespacedName]struct{}{}, false
	return conditions, again
}

// living returns the sorted names of the nodes whose announcers are alive, and when time alone will change that.
func (o *observer) living(now time.Time) (alive []string, again time.Time) {
	for name, announcer := range o.announcers {
		ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || !o.ready[name] {
			continue
		}
		switch {
		case ready.Status == metav1.ConditionTrue:
			alive = append(alive, name)
		case ready.Reason == v1alpha1.ReasonStopped:
			end := ready.LastTransitionTime.Add(stopGrace)
			if end.After(now) {
				alive = append(alive, name)
				if again.IsZero() || end.Before(again) {
					again = end
				}
			}
		}
	}
	slices.Sort(alive)
	return alive, again
}

// condition is the Announced condition of a Service; nil if it is to have none.
func (o *observer) condition(name types.NamespacedName, now time.Time) *metav1.Condition {
	addresses := o.addressesOf(o.services[name])
	if len(addresses) == 0 {
		return nil
	}
	var standings []standing
	for _, address := range addresses {
		s := standing{address: address, strangers: o.contested[address].who, routing: o.route(address)}
		if claims := o.claims[address]; len(claims) > 0 {
			s.claim = &claims[0]
			_, s.alive = slices.BinarySearch(o.alive, s.claim.node)
		}
		if !s.claimed() {
			s.explanation = o.explain(address, now)
		}
		standings = append(standings, s)
	}
	condition := announcedCondition(standings)
	return &condition
}

// explain asks the plan. Where all is well there is none to make.
func (o *observer) explain(address netip.Addr, now time.Time) plan.Layer2Explanation {
	if !o.planned {
		o.planner.Plan(now)
		o.planned = true
	}
	return o.planner.Explain(address)
}
