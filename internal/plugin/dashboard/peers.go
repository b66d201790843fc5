package dashboard

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
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
	is := why.SessionStanding(state, node, &s)
	out := session{Node: node, State: standings[is.Mark], Says: split(is.Reason), Words: is.Sentence}
	if s.Since != nil {
		out.Since = moment(s.Since.Time)
	}
	if is.Reason == why.ReasonNotInSight { // what it recorded last is not so any more
		return out
	}
	out.Prefixes = s.Prefixes
	if s.BFD != nil {
		out.BFD = "BFD " + string(s.BFD.State)
	}
	return out
}
