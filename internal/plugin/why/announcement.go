package why

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/provider/announced"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// announcementLinks follow an address from its advertisements to the nodes and routers.
func announcementLinks(s *snapshot.State, ip netip.Addr) []Link {
	a := s.Announced.Address(s.Time, ip)
	links := []Link{advertisementLink(s, &a)}
	if a.Layer2.Refused == "" {
		links = append(links, layer2Link(s, &a))
	}
	if a.BGP.Refused == "" {
		links = append(links, bgpLink(s, &a))
	}
	links = append(links, ownerLink(s, &a))
	for i := range links {
		links[i].Address = ip.String()
	}
	return links
}

// advertisementLink says which advertisements select an address, and why the others do not.
func advertisementLink(s *snapshot.State, a *announced.Address) Link {
	l := Link{Name: "advertisement", Mark: Failed, Sentence: plan.NoAdvertisement.Sentence(), Remedy: plan.NoAdvertisement.Remedy()}
	var selecting []string
	well := OK
	look := func(kind string, names []string, verdicts []plan.AdvertisementVerdict, condition func(string) metav1.Condition) {
		for _, name := range names {
			i := Item{Name: kind + " " + name, Mark: Note, Sentence: "nothing of it is in force"}
			for _, v := range verdicts {
				if v.Name == name && v.Reason == "" {
					i.Mark, i.Sentence = OK, "selects this address"
					selecting = append(selecting, i.Name)
				} else if v.Name == name {
					i.Sentence = v.Reason.Sentence()
				}
			}
			if c := condition(name); c.Status != metav1.ConditionTrue {
				if i.Mark == OK {
					well = Warning
				}
				i.Mark, i.Remedy = Warning, "correct the "+kind
				i.Sentence += "; " + c.Message
			}
			l.Items = append(l.Items, i)
		}
	}
	look("L2Advertisement", namesOf(s.L2Advertisements), a.L2Advertisements, s.Announced.L2Advertisement)
	look("BGPAdvertisement", namesOf(s.BGPAdvertisements), a.BGPAdvertisements, s.Announced.BGPAdvertisement)
	switch {
	case len(selecting) > 0:
		l.Mark, l.Sentence, l.Remedy = well, "selected by "+strings.Join(selecting, ", "), ""
	case a.Layer2.Refused == plan.NoPool:
		l.Sentence, l.Remedy = plan.NoPool.Sentence(), plan.NoPool.Remedy()
	case len(l.Items) == 0:
		l.Sentence = "there is no L2Advertisement and no BGPAdvertisement"
	}
	return l
}

func namesOf[T any, O interface {
	*T
	GetName() string
}](objects []O) (names []string) {
	for _, o := range objects {
		names = append(names, o.GetName())
	}
	return names
}

// layer2Link says of every node whether it could announce an address on layer 2.
func layer2Link(s *snapshot.State, a *announced.Address) Link {
	l := Link{Name: "nodes", Mark: OK}
	able, owner := 0, a.Layer2.Decision.Owner
	var answering []string
	for _, v := range a.Layer2.Verdicts {
		i := Item{Name: v.Node, Mark: Note, Sentence: v.Sentence()}
		switch v.Reason {
		case plan.Announces:
			i.Mark = OK
			able++
		case plan.StandsBy:
			able++
		case plan.NoAnnouncer, plan.NotAlive:
			l := announcerLink(s, v.Node)
			i.Sentence, i.Remedy = l.Sentence, l.Remedy
		default:
			if i.Remedy = v.Remedy(); i.Remedy == "" {
				i.Remedy = remedyOfNode(v.Reason, v.Node)
			}
		}
		if answers := kernelAnswers(s, v.Node, a.IP); answers != "" && v.Node != owner && v.Reason != plan.NoInterface {
			answering = append(answering, v.Node)
			i.Mark, i.Sentence = Warning, i.Sentence+"; "+answers
		}
		l.Items = append(l.Items, i)
	}
	switch {
	case owner == "" && len(l.Items) == 0:
		l.Mark, l.Sentence = Failed, "there is no node"
	case owner == "":
		l.Mark, l.Sentence = Failed, "no node can announce it on layer 2"
		for i := range l.Items {
			l.Items[i].Mark = Failed
		}
	default:
		l.Sentence = fmt.Sprintf("%d of %d can announce it on layer 2", able, len(l.Items))
		if able == 1 && len(l.Items) > 1 {
			l.Mark, l.Sentence = Warning, l.Sentence+": if it dies, nobody takes the address over"
		}
	}
	if a.BGP.Refused == "" && l.Mark == Failed && a.Nodes > 0 {
		l.Mark = Warning // it is announced the other way
	}
	if len(answering) > 0 && l.Mark != Failed {
		l.Mark, l.Sentence = Warning, l.Sentence+", and the kernel of "+strings.Join(answering, ", ")+" answers by itself"
	}
	return l
}

// kernelAnswers is what the Announcer of a node says if its kernel answers for addresses of Services by itself, with the fix; "" if it does not.
// Of several addresses an Announcer names one.
func kernelAnswers(s *snapshot.State, node string, ip netip.Addr) string {
	announcer := s.Announcer(node)
	if announcer == nil {
		return ""
	}
	strict := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionStrictARP)
	switch {
	case strict == nil || strict.Status != metav1.ConditionFalse:
		return ""
	case slices.Contains(strings.Fields(strict.Message), ip.String()):
		return "its kernel answers for it, too: " + strict.Message
	}
	return "its kernel may answer for it, too: " + strict.Message
}

// bgpLink says of every node to which BGPPeers it announces an address, and how its sessions are.
func bgpLink(s *snapshot.State, a *announced.Address) Link {
	l := Link{Name: "routes", Mark: OK, Sentence: "sent by BGP from " + counted(a.Nodes, "node") + " to " + counted(a.Peers, "BGPPeer")}
	for _, v := range a.BGP.Verdicts {
		if len(v.Peers) == 0 {
			l.Items = append(l.Items, Item{v.Node, Note, v.Reason.Sentence(), remedyOfNode(v.Reason, v.Node)})
		}
		for _, peer := range v.Peers {
			l.Items = append(l.Items, sessionItem(s, a, v, peer))
		}
	}
	if a.Nodes == 0 {
		l.Mark, l.Sentence = Failed, "no node sends it to a router"
		l.Remedy = remedyOfAnnouncement(v1alpha1.ReasonNoSession)
		if a.Owner != "" {
			l.Mark = Warning
		}
		return l
	}
	for i := range l.Items {
		switch l.Items[i].Mark {
		case Failed: // others make up for it
			l.Items[i].Mark, l.Mark = Warning, Warning
		case Warning:
			l.Mark = Warning
		}
	}
	return l
}

// sessionItem is how the session of a node with a BGPPeer is, for an address.
func sessionItem(s *snapshot.State, a *announced.Address, v plan.BGPVerdict, peer string) Item {
	i := Item{Name: v.Node + " to " + peer, Mark: Failed, Sentence: "there is no session"}
	if !s.Announced.Alive(v.Node) {
		l := announcerLink(s, v.Node)
		i.Sentence, i.Remedy = l.Sentence, l.Remedy
		return i
	}
	session := sessionOf(s, v.Node, peer)
	switch unsent := s.Announced.Unsent(v.Node, peer, a.IP); {
	case session == nil:
		i.Remedy = remedyOfNode(plan.NotAlive, v.Node)
	case session.State != v1alpha1.BGPEstablished:
		i.Sentence, i.Remedy = "there is no session: "+said(session.LastError), remedyOfSession(session, peer)
	case unsent != "":
		i.Sentence, i.Remedy = unsent, "kubectl describe bgppeer "+peer
	case v.Reason == plan.Draining:
		i.Mark, i.Sentence = Note, "there is a session; the node is drained and announces only what no other node can"
	default:
		i.Mark, i.Sentence = OK, "there is a session, and the route is sent"
		if b := session.BFD; b != nil && b.State != v1alpha1.BFDUp {
			st := SessionStanding(s, v.Node, session)
			i.Mark, i.Sentence, i.Remedy = Warning, i.Sentence+"; "+st.Sentence, st.Remedy
		}
	}
	return i
}

// sessionOf is the session of a node with a BGPPeer, an established one before others; nil if there is none.
func sessionOf(s *snapshot.State, node, peer string) (found *v1alpha1.BGPSession) {
	announcer := s.Announcer(node)
	if announcer == nil {
		return nil
	}
	for i := range announcer.Status.BGP.Peers {
		session := &announcer.Status.BGP.Peers[i]
		if session.Name == peer && (found == nil || session.State == v1alpha1.BGPEstablished) {
			found = session
		}
	}
	return found
}

func said(problem string) string {
	if problem == "" {
		return "the node tries to have one"
	}
	return problem
}

func remedyOfSession(session *v1alpha1.BGPSession, peer string) string {
	if session.State == v1alpha1.BGPRefused || session.BFD != nil && session.BFD.State == v1alpha1.BFDRefused {
		return "correct the BGPPeer " + peer + ": kubectl describe bgppeer " + peer
	}
	return fmt.Sprintf("compare the BGPPeer %s with the configuration of the router %s: see docs/troubleshooting.md, No BGP session", peer, session.Address)
}

// ownerLink says who announces an address, or why nobody does, and what is known of the owner.
func ownerLink(s *snapshot.State, a *announced.Address) Link {
	l := Link{Name: "announced", Mark: OK, Reason: a.Reason, Sentence: a.Sentence}
	switch {
	case a.Announced() && (a.Conflict != "" || a.Unserved != ""):
		l.Mark = Failed // the sentence says what helps
	case !a.Announced():
		l.Mark, l.Remedy = Failed, remedyOfAnnouncement(a.Reason)
	}
	if a.Owner == "" {
		return l
	}
	for _, i := range AnnouncerOf(s, a.Owner) {
		i.Name = a.Owner + " " + i.Name
		l.Items = append(l.Items, i)
		if i.Mark == Warning && l.Mark == OK {
			l.Mark = Warning
		}
	}
	if node := s.Node(a.Owner); node != nil && nodeReady(node) != corev1.ConditionTrue {
		l.Items = append(l.Items, Item{a.Owner, Warning, plan.NotReady.Sentence(), remedyOfNode(plan.NotReady, a.Owner)})
	}
	return l
}
