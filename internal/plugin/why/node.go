package why

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Node says whether a node takes part, what it carries, and how its sessions are.
func Node(s *snapshot.State, name string) *Report {
	r := &Report{Kind: "Node", Name: name}
	part := partLink(s, name)
	r.add(podLink(s, name), announcerLink(s, name))
	r.add(withdrawalLinks(s, name)...)
	r.add(part)
	announcer := s.Announcer(name)
	if announcer != nil {
		links := []Link{interfacesLink(announcer), carriedLink(s, announcer)}
		if len(announcer.Status.BGP.Peers) > 0 {
			links = append(links, sessionsLink(s, announcer))
		}
		if !s.Announced.Alive(name) {
			markPast(links)
		}
		r.add(links...)
	}
	r.add(nodeWarningsLinks(s, name)...)
	r.conclude(part.Sentence)
	return r
}

// markPast has links say that what they tell was so when the announcer was last heard of.
func markPast(links []Link) {
	for i := range links {
		l := &links[i]
		l.Mark, l.Sentence, l.Remedy = Note, "before it was lost from sight: "+l.Sentence, ""
		for j := range l.Items {
			l.Items[j].Mark, l.Items[j].Remedy = Note, ""
		}
	}
}

// podLink says whether an announcer is to run on the node, and does.
func podLink(s *snapshot.State, node string) Link {
	l := Link{Name: "pod", Mark: Note, Sentence: "no pod of the announcers is known on the node"}
	for _, pod := range s.Pods {
		if pod.Spec.NodeName != node || pod.Labels["app.kubernetes.io/name"] != snapshot.AnnouncerName {
			continue
		}
		l.Mark, l.Sentence = OK, pod.Name+" runs"
		if problem := podProblem(pod); problem != "" {
			l.Mark, l.Sentence = Failed, pod.Name+": "+problem
			l.Remedy = fmt.Sprintf("kubectl -n %s describe pod %s", pod.Namespace, pod.Name)
		}
	}
	return l
}

func interfacesLink(a *v1alpha1.Announcer) Link {
	l := Link{Name: "interfaces", Mark: OK}
	for _, i := range a.Status.Layer2.Interfaces {
		l.Items = append(l.Items, Item{Name: i.Name, Mark: OK, Sentence: strings.Join(i.Prefixes, ", ")})
	}
	l.Sentence = fmt.Sprintf("%d can carry addresses", len(l.Items))
	if len(l.Items) == 0 {
		l.Mark, l.Sentence = Warning, "none can carry addresses on layer 2"
		l.Remedy = "set one up that has a network or a default route"
	}
	return l
}

func carriedLink(s *snapshot.State, a *v1alpha1.Announcer) Link {
	l := Link{Name: "addresses", Mark: Note}
	for _, claim := range Carried(s, a) {
		l.Items = append(l.Items, Item{Name: claim.IP, Mark: OK, Sentence: ClaimSentence(claim)})
		if len(claim.Interfaces) == 0 {
			l.Items[len(l.Items)-1].Mark = Note
		}
	}
	l.Sentence = "it has " + strconv.Itoa(len(l.Items)) + " on layer 2"
	return l
}

// ClaimSentence says where and since when the node of a claim announces the address, if it does.
func ClaimSentence(claim v1alpha1.Layer2Address) string {
	if len(claim.Interfaces) == 0 {
		return "claimed, and not announced yet"
	}
	return "on " + strings.Join(claim.Interfaces, ", ") + " since " + stamp(claim.Since)
}

func sessionsLink(s *snapshot.State, a *v1alpha1.Announcer) Link {
	l := Link{Name: "sessions", Mark: OK}
	up := 0
	for i := range a.Status.BGP.Peers {
		session := &a.Status.BGP.Peers[i]
		item := sessionStandingItem(s, a.Name, session.Name, session)
		if item.Mark == Warning {
			l.Mark = Warning
		}
		if session.State == v1alpha1.BGPEstablished {
			up++
		}
		l.Items = append(l.Items, item)
	}
	l.Sentence = fmt.Sprintf("%d of %d are established", up, len(l.Items))
	return l
}

// sessionStandingItem is how a session is, under a name. It is a warning at most: the node may have others, and the router
// other nodes.
func sessionStandingItem(s *snapshot.State, node, name string, session *v1alpha1.BGPSession) Item {
	standing := SessionStanding(s, node, session)
	if standing.Mark == OK {
		return Item{Name: name, Mark: OK, Sentence: fmt.Sprintf("%s with %s, %s sent", session.State, session.Address, counted(int(session.Prefixes), "route"))}
	}
	return Item{name, Warning, standing.Sentence, standing.Remedy}
}

func stamp(t metav1.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
