package causes

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// playAnnouncers has every Announcer that is alive record what its node announces, by the plans that
// announcers go by. Nodes claim what falls to them at once, and sessions are as the Cluster has them.
func (w *World) playAnnouncers() {
	view, announcers := viewOf(w.objects()), of[*v1alpha1.Announcer](w.objects())
	var alive []string
	for _, a := range announcers {
		if meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.ConditionReady) && view.NodeReady(a.Name) {
			alive = append(alive, a.Name)
		}
	}
	planner := plan.NewLayer2Planner(view, "*") // no node has this name
	planner.SetAlive(alive)
	planner.Plan(time.Now())
	owned := map[string][]v1alpha1.Layer2Address{}
	for _, ip := range planner.Addresses() {
		if e := planner.Explain(ip); e.Decision.Owner != "" && !conflicting(announcers, ip) {
			owned[e.Decision.Owner] = append(owned[e.Decision.Owner], v1alpha1.Layer2Address{
				IP: ip.String(), Interfaces: []string{"eth0"}, Epoch: 1, Since: metav1.Now(),
			})
		}
	}
	for _, a := range announcers {
		if slices.Contains(alive, a.Name) {
			a.Status.Layer2.Addresses = owned[a.Name]
			a.Status.BGP = w.sessions(view, a.Name)
			a.Status.Summary = kube.SummaryOf(&a.Status)
			w.update(a)
		}
	}
}

// conflicting says whether an announcer has heard a host that has an address which is not in use.
func conflicting(announcers []*v1alpha1.Announcer, ip netip.Addr) bool {
	return slices.ContainsFunc(announcers, func(a *v1alpha1.Announcer) bool {
		return slices.ContainsFunc(a.Status.Layer2.Conflicts, func(c v1alpha1.Layer2Conflict) bool {
			return c.IP == ip.String() && !c.InUse
		})
	})
}

// sessions are those of a node, as its announcer reports them.
func (w *World) sessions(view *plan.View, node string) (status v1alpha1.BGPStatus) {
	planner := plan.NewBGPPlanner(view, node)
	planner.SetGateways([]netip.Addr{netip.MustParseAddr("192.0.2.1")})
	p := planner.Plan(time.Now())
	for key, session := range p.Peers {
		s := w.cluster.Sessions[key.Peer].of(node).report(key.Peer, p.Routes[key])
		s.Address, s.Revision = session.Address.String(), p.Revisions[key]
		status.Peers = append(status.Peers, s)
	}
	for _, r := range p.Refused {
		status.Peers = append(status.Peers, v1alpha1.BGPSession{Name: r.Peer, State: v1alpha1.BGPRefused, LastError: r.Sentence()})
	}
	slices.SortFunc(status.Peers, func(a, b v1alpha1.BGPSession) int { return cmp.Compare(a.Name, b.Name) })
	return status
}

// of is the session of a node.
func (s Session) of(node string) Session {
	if slices.Contains(s.Only, node) {
		s.Problem = bgp.Problem{}
	}
	return s
}

// report is what an announcer says of a session on which these routes are to be sent.
func (s Session) report(peer string, routes []bgp.Route) v1alpha1.BGPSession {
	since := metav1.Now()
	status := v1alpha1.BGPSession{Name: peer, State: v1alpha1.BGPEstablished, Since: &since, LastError: s.Problem.String(), BFD: s.BFD}
	if s.Problem != (bgp.Problem{}) {
		status.State = v1alpha1.BGPConnecting
		return status
	}
	carried := cmp.Or(s.Families, bgp.IPv4|bgp.IPv6)
	for family, f := range map[corev1.IPFamily]bgp.Families{corev1.IPv4Protocol: bgp.IPv4, corev1.IPv6Protocol: bgp.IPv6} {
		n := 0
		for _, r := range routes {
			if bgp.FamilyOf(r.Prefix) == f {
				n++
			}
		}
		switch {
		case carried&f != 0:
			status.Prefixes += int32(n)
			status.Families = append(status.Families, v1alpha1.BGPSessionFamily{Family: family, Prefixes: int32(n)})
		case n > 0:
			problem := bgp.Problem{Kind: bgp.NotCarried, Families: f}
			status.Families = append(status.Families, v1alpha1.BGPSessionFamily{Family: family, LastError: problem.String()})
		}
	}
	slices.SortFunc(status.Families, func(a, b v1alpha1.BGPSessionFamily) int { return cmp.Compare(a.Family, b.Family) })
	return status
}

// viewOf is what announcers see of the API.
func viewOf(objects []runtime.Object) *plan.View {
	view := plan.NewView()
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Node:
			view.SetNode(o.Name, o)
		case *corev1.Service:
			view.SetService(types.NamespacedName{Namespace: o.Namespace, Name: o.Name}, o)
		case *discoveryv1.EndpointSlice:
			view.SetEndpointSlice(types.NamespacedName{Namespace: o.Namespace, Name: o.Name}, o)
		case *corev1.Secret:
			view.SetSecret(o.Name, o)
		case *v1alpha1.IPAddressPool:
			view.SetPool(o.Name, o)
		case *v1alpha1.L2Advertisement:
			view.SetL2Advertisement(o.Name, o)
		case *v1alpha1.BGPPeer:
			view.SetBGPPeer(o.Name, o)
		case *v1alpha1.BGPAdvertisement:
			view.SetBGPAdvertisement(o.Name, o)
		case *v1alpha1.Community:
			view.SetCommunity(o.Name, o)
		case *v1alpha1.BFDProfile:
			view.SetBFDProfile(o.Name, o)
		case *v1alpha1.Announcer:
			view.SetAnnouncer(o.Name, o)
		}
	}
	view.Settle()
	return view
}
