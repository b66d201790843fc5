package dashboard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// node is a Node, with what its announcer does.
type node struct {
	Name      string        `json:"name"`
	State     standing      `json:"state"`
	Says      string        `json:"says"`  // a word or two
	Words     string        `json:"words"` // a sentence, if it is not well
	Remarks   []remark      `json:"remarks"`
	Layer2    bool          `json:"layer2"` // the node can carry addresses on layer 2
	Addresses []nodeAddress `json:"addresses"`
	Routes    int32         `json:"routes"`
}

// remark is something that is not well on a node that announces all the same.
type remark struct {
	Kind  string `json:"kind"`
	Words string `json:"words"`
}

// nodeAddress is an address that a node answers for on layer 2.
type nodeAddress struct {
	IP      string `json:"ip"`
	Service string `json:"service"`
	Words   string `json:"words"`
}

// nodesOf has all Nodes, and Announcers of Nodes that are not there any more.
func nodesOf(state *snapshot.State) []node {
	list := []node{}
	for _, object := range state.Nodes {
		list = append(list, nodeOf(state, object.Name, object, snapshot.Find(state.Announcers, "", object.Name)))
	}
	for _, announcer := range state.Announcers {
		if snapshot.Find(state.Nodes, "", announcer.Name) == nil {
			list = append(list, nodeOf(state, announcer.Name, nil, announcer))
		}
	}
	return list
}

func nodeOf(state *snapshot.State, name string, object *corev1.Node, announcer *v1alpha1.Announcer) node {
	n := node{Name: name, Remarks: []remark{}, Addresses: []nodeAddress{}}
	if announcer != nil {
		n.Layer2 = len(announcer.Status.Layer2.Interfaces) > 0
		n.Addresses = carried(state, announcer)
		if state.Announced.Alive(name) {
			n.Remarks = remarksOn(announcer)
			for _, session := range announcer.Status.BGP.Peers {
				n.Routes = max(n.Routes, session.Prefixes)
			}
		}
	}
	n.State, n.Says, n.Words = judgeNode(object, announcer, len(n.Addresses))
	return n
}

// judgeNode is how it stands with a node, in a word or two and in a sentence.
func judgeNode(object *corev1.Node, announcer *v1alpha1.Announcer, carries int) (standing, string, string) {
	switch {
	case object == nil:
		return trouble, "no Node", "its Node is gone, and its Announcer is not"
	case announcer == nil:
		return warning, "no announcer", "no announcer has ever run on it"
	}
	if ready := nodeCondition(object, corev1.NodeReady); ready == nil || ready.Status != corev1.ConditionTrue {
		switch {
		case ready != nil && ready.Status == corev1.ConditionFalse:
			return trouble, "not ready", "the Node is not Ready: " + ready.Message
		case carries == 0:
			return trouble, "unreachable", "its kubelet is silent, and no address is announced from it"
		}
		return trouble, "suspect", fmt.Sprintf("its kubelet is silent, and it still has %d of the addresses", carries)
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return warning, "starting", "its announcer has not said anything yet"
	case isDrained(announcer):
		return warning, "drained", ready.Message
	case ready.Status == metav1.ConditionTrue && ready.Reason == v1alpha1.ReasonRunning:
		return well, "announces", ""
	case ready.Status == metav1.ConditionTrue:
		return warning, split(ready.Reason), ready.Message
	}
	return trouble, split(ready.Reason), ready.Message
}

// isDrained says whether a node announces only what no other one can, on purpose.
func isDrained(announcer *v1alpha1.Announcer) bool {
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonDraining
}

// split makes words of a reason: "no interface" of "NoInterface".
func split(reason string) string {
	var b strings.Builder
	for i, r := range reason {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func nodeCondition(object *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	i := slices.IndexFunc(object.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &object.Status.Conditions[i]
}

// remarksOn are the conditions of an Announcer that say that something is wrong.
func remarksOn(announcer *v1alpha1.Announcer) []remark {
	list := []remark{}
	for _, c := range announcer.Status.Conditions {
		if c.Type != v1alpha1.ConditionReady && c.Status == metav1.ConditionFalse {
			list = append(list, remark{c.Type, c.Message})
		}
	}
	return list
}

// carried are the addresses that a node has on layer 2: those that it claims and of which its claim
// holds.
func carried(state *snapshot.State, announcer *v1alpha1.Announcer) []nodeAddress {
	list := []nodeAddress{}
	for _, claim := range announcer.Status.Layer2.Addresses {
		ip, err := netip.ParseAddr(claim.IP)
		if err != nil {
			continue
		}
		if said := state.Announced.Address(state.Time, ip); said.Claim == nil || said.Claim.Node != announcer.Name {
			continue
		}
		address := nodeAddress{IP: claim.IP, Words: "claimed, and not announced yet"}
		if len(claim.Interfaces) > 0 {
			address.Words = fmt.Sprintf("on %s since %s", strings.Join(claim.Interfaces, ", "), moment(claim.Since.Time))
		}
		if services := state.Announced.Services(ip); len(services) > 0 {
			address.Service = services[0].String()
		}
		list = append(list, address)
	}
	slices.SortFunc(list, func(a, b nodeAddress) int { return compareText(a.IP, b.IP) })
	return list
}

// compareText puts addresses in their order, and before them what is none.
func compareText(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return x.Compare(y)
}
