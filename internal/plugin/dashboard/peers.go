package dashboard

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// peer is a BGPPeer, with the sessions that nodes have with it.
type peer struct {
	Name     string    `json:"name"`
	Address  string    `json:"address"`
	State    standing  `json:"state"`
	Words    string    `json:"words"`
	Sessions []session `json:"sessions"`
}

// session is one of a node with a router.
type session struct {
	Node     string   `json:"node"`
	State    standing `json:"state"`
	Says     string   `json:"says"`
	Words    string   `json:"words"`
	Since    string   `json:"since"`
	Prefixes int32    `json:"prefixes"`
	BFD      string   `json:"bfd"`
}

func peersOf(state *snapshot.State) []peer {
	list := []peer{}
	for _, object := range state.BGPPeers {
		status := state.Announced.BGPPeer(object.Name)
		p := peer{Name: object.Name, Address: describePeer(object.Spec), State: well, Sessions: []session{}}
		for _, kind := range []string{v1alpha1.ConditionEstablished, v1alpha1.ConditionReady} {
			if c := meta.FindStatusCondition(status.Conditions, kind); c != nil && c.Status != metav1.ConditionTrue {
				p.State, p.Words = warning, c.Message
				if kind == v1alpha1.ConditionReady {
					p.State = trouble
				}
			}
		}
		for _, announcer := range state.Announcers {
			for _, s := range announcer.Status.BGP.Peers {
				if s.Name == object.Name {
					p.Sessions = append(p.Sessions, sessionOf(state, announcer.Name, s))
				}
			}
		}
		list = append(list, p)
	}
	return list
}

// describePeer says which router a BGPPeer is.
func describePeer(spec v1alpha1.BGPPeerSpec) string {
	where := cmp.Or(spec.PeerAddress, spec.Interface)
	if spec.DefaultGateway != "" {
		where = string(spec.DefaultGateway) + " default gateway"
	}
	if spec.PeerASN != nil {
		where += fmt.Sprintf(" AS%d", *spec.PeerASN)
	}
	return where
}

func sessionOf(state *snapshot.State, node string, s v1alpha1.BGPSession) session {
	out := session{Node: node, State: trouble, Says: string(s.State), Words: s.LastError, Prefixes: s.Prefixes}
	if s.Since != nil {
		out.Since = moment(s.Since.Time)
	}
	if s.BFD != nil {
		out.BFD = "BFD " + string(s.BFD.State)
	}
	switch {
	case !state.Announced.Alive(node):
		// What it recorded last is not so any more.
		out.State, out.Says, out.Words, out.Prefixes, out.BFD = none, "Silent", "the node's announcer is not in sight", 0, ""
	case s.State == v1alpha1.BGPEstablished && (s.BFD == nil || s.BFD.State == v1alpha1.BFDUp):
		out.State = well
	case s.State == v1alpha1.BGPEstablished:
		out.State, out.Words = warning, cmp.Or(s.BFD.LastError, out.BFD)
	}
	if drained := snapshot.Find(state.Announcers, "", node); out.State == trouble && isDrained(drained) {
		out.State, out.Says = warning, "Drained"
	}
	for _, f := range s.Families {
		if f.LastError != "" && out.State == well {
			out.State, out.Words = warning, string(corev1.IPFamily(f.Family))+": "+f.LastError
		}
	}
	return out
}
