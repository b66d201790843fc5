package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// rack is node n1 of three, which plans its routes, and what the API says.
type rack struct {
	view    *View
	planner *BGPPlanner
	now     time.Time
}

// newRack has one Service, web, with 192.168.10.1 and an endpoint on every node, and an external
// peer, tor, for all.
func newRack() *rack {
	r := &rack{view: NewView(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.planner = NewBGPPlanner(r.view, "n1")
	for i, name := range []string{"n1", "n2", "n3"} {
		r.node(name, func(n *corev1.Node) {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i+1)}}
		})
	}
	pool := poolObject("public", "192.168.10.0/24", "fd00:10::/64")
	pool.Labels = map[string]string{"pool": "public"}
	r.view.SetPool("public", pool)
	r.service(serviceObject("web", "192.168.10.1"))
	r.endpoints("web", "n1", "n2", "n3")
	r.peer("tor", nil)
	for _, name := range []string{"n1", "n2", "n3"} {
		r.sessions(name, established("tor"))
	}
	return r
}

// established is a session that an Announcer reports.
func established(peer string) v1alpha1.BGPSession {
	return v1alpha1.BGPSession{Name: peer, State: v1alpha1.BGPEstablished}
}

// sessions has the Announcer of a node report its sessions.
func (r *rack) sessions(node string, sessions ...v1alpha1.BGPSession) {
	a := announcerOn(node)
	a.Status.BGP.Peers = sessions
	r.view.SetAnnouncer(node, a)
}

func (r *rack) node(name string, change ...func(*corev1.Node)) {
	r.view.SetNode(name, nodeObject(name, change...))
}

func (r *rack) service(s *corev1.Service) {
	r.view.SetService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s)
}

func (r *rack) endpoints(service string, nodes ...string) {
	e := endpointsOn(service, nodes...)
	r.view.SetEndpointSlice(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, e)
}

// peer is external, with an address that depends on its name, unless changed.
func (r *rack) peer(name string, change func(*v1alpha1.BGPPeerSpec)) {
	asn := int64(65000)
	p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.BGPPeerSpec{
		MyASN: 65001, PeerASN: &asn, PeerAddress: fmt.Sprintf("10.0.0.%d", 100+int(name[len(name)-1])%100),
	}}
	if change != nil {
		change(&p.Spec)
	}
	r.view.SetBGPPeer(name, p)
}

// advertise makes a BGPAdvertisement; those made later are younger.
func (r *rack) advertise(name string, spec v1alpha1.BGPAdvertisementSpec) {
	r.now = r.now.Add(time.Second)
	r.view.SetBGPAdvertisement(name, &v1alpha1.BGPAdvertisement{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(r.now)}, Spec: spec,
	})
}

func (r *rack) community(name, alias, value string) {
	r.view.SetCommunity(name, &v1alpha1.Community{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: alias, Value: value}}},
	})
}

func (r *rack) plan() BGPPlan { return r.planner.Plan(r.now) }

// text is the plan as text: a line for every session, route and refusal.
func (p BGPPlan) text() string {
	var lines []string
	for _, key := range slices.SortedFunc(maps.Keys(p.Peers), bgp.SessionKey.Compare) {
		lines = append(lines, key.String())
		for _, route := range p.Routes[key] {
			lines = append(lines, "  "+route.Prefix.String()+attributesText(route.Attributes))
		}
	}
	for _, refusal := range p.Refused {
		lines = append(lines, refusal.Peer+": "+refusal.Sentence())
	}
	return strings.Join(lines, "\n")
}

func attributesText(a *bgp.Attributes) (text string) {
	if a.LocalPref != nil {
		text += fmt.Sprintf(" localPref %d", *a.LocalPref)
	}
	if a.MED != nil {
		text += fmt.Sprintf(" med %d", *a.MED)
	}
	if a.Prepend > 0 {
		text += fmt.Sprintf(" prepend %d", a.Prepend)
	}
	for _, c := range a.Communities {
		text += fmt.Sprintf(" %d:%d", c>>16, c&0xffff)
	}
	for _, c := range a.LargeCommunities {
		text += fmt.Sprintf(" large:%d:%d:%d", c.Global, c.Local1, c.Local2)
	}
	if a.LinkBandwidth != 0 {
		text += fmt.Sprintf(" %g Mbit/s", a.LinkBandwidth*8/1e6)
	}
	if a.Leaving {
		text += " leaving"
	}
	return text
}
