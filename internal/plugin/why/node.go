package why

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Node says whether a node takes part, what it carries, and how its sessions are.
func Node(s *snapshot.State, name string) *Report {
	r := &Report{Kind: "Node", Name: name}
	part := partLink(s, name)
	r.add(podLink(s, name), announcerLink(s, name), part)
	announcer := snapshot.Find(s.Announcers, "", name)
	if announcer != nil {
		links := []Link{interfacesLink(announcer), carriedLink(announcer)}
		if len(announcer.Status.BGP.Peers) > 0 {
			links = append(links, sessionsLink(announcer))
		}
		if !s.Announced.Alive(name) {
			markPast(links)
		}
		r.add(links...)
	}
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

// announcerLink says what the announcer tells of itself.
func announcerLink(s *snapshot.State, node string) Link {
	l := Link{Name: "announcer", Mark: OK, Sentence: "it is in sight", Items: AnnouncerOf(s, node)}
	if snapshot.Find(s.Announcers, "", node) == nil {
		l.Mark, l.Sentence = Failed, plan.NoAnnouncer.Sentence()
		l.Remedy = remedyOfNode(plan.NoAnnouncer, node)
		return l
	}
	if !s.Announced.Alive(node) {
		l.Mark, l.Sentence = Failed, plan.NotAlive.Sentence()
		l.Remedy = fmt.Sprintf("kubectl describe node %s; kubectl -n %s get pods --output wide --field-selector spec.nodeName=%s", node, v1alpha1.SystemNamespace, node)
	} else if worst(l.Items) == Warning {
		l.Mark = Warning
	}
	return l
}

// partLink says whether the node may announce anything.
func partLink(s *snapshot.State, node string) Link {
	reason := s.Announced.NodeReason(node)
	switch reason {
	case "":
		return Link{Name: "eligible", Mark: OK, Sentence: "the node may announce addresses"}
	case plan.Draining, plan.NotReady, plan.KubeProxyDown:
		return Link{Name: "eligible", Mark: Warning, Sentence: reason.Sentence() + ": it announces only what no other node can", Remedy: remedyOfNode(reason, node)}
	}
	return Link{Name: "eligible", Mark: Failed, Sentence: reason.Sentence(), Remedy: remedyOfNode(reason, node)}
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

func carriedLink(a *v1alpha1.Announcer) Link {
	l := Link{Name: "addresses", Mark: Note}
	for _, claim := range a.Status.Layer2.Addresses {
		i := Item{Name: claim.IP, Mark: OK, Sentence: "on " + strings.Join(claim.Interfaces, ", ") + " since " + stamp(claim.Since)}
		if len(claim.Interfaces) == 0 {
			i.Mark, i.Sentence = Note, "claimed, and not announced yet"
		}
		l.Items = append(l.Items, i)
	}
	l.Sentence = "it announces " + strconv.Itoa(len(l.Items)) + " on layer 2"
	return l
}

func sessionsLink(a *v1alpha1.Announcer) Link {
	l := Link{Name: "sessions", Mark: OK}
	up := 0
	for i := range a.Status.BGP.Peers {
		session := &a.Status.BGP.Peers[i]
		item := itemOf(session.Name, session)
		if item.Mark == Warning {
			l.Mark = Warning
		} else {
			up++
		}
		l.Items = append(l.Items, item)
	}
	l.Sentence = fmt.Sprintf("%d of %d are established", up, len(l.Items))
	return l
}

// itemOf is how a session is.
func itemOf(name string, session *v1alpha1.BGPSession) Item {
	if session.State != v1alpha1.BGPEstablished {
		return Item{name, Warning, said(session.LastError), remedyOfSession(session, session.Name)}
	}
	return Item{Name: name, Mark: OK, Sentence: fmt.Sprintf("%s with %s, %s sent", session.State, session.Address, counted(int(session.Prefixes), "route"))}
}

func stamp(t metav1.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
