package dashboard

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/provider/announced"
)

// path is how a Service comes to be reached, link by link.
type path struct {
	State standing `json:"state"`
	Says  string   `json:"says"`
	Words string   `json:"words"`
	Links []link   `json:"links"`
}

// link is a part of a path that may fail. What comes after one that does has not been reached.
type link struct {
	Name    string   `json:"name"`
	State   standing `json:"state"`
	Words   string   `json:"words"`
	Fix     string   `json:"fix"`
	Details []detail `json:"details"`
}

// detail is one of several things that a link depends on.
type detail struct {
	State standing `json:"state"`
	Words string   `json:"words"`
}

// pathOf is the path of a Service; nil if there is none.
func pathOf(state *snapshot.State, namespace, name string) *path {
	service := types.NamespacedName{Namespace: namespace, Name: name}
	object := state.Service(service)
	if object == nil {
		return nil
	}
	p := &path{Links: []link{}}
	answer, condition := state.Answers[service], state.Announced.Condition(service)
	p.State, p.Words = judge(object, answer, condition)
	p.Says = map[standing]string{well: "announced", warning: "waiting", trouble: "in trouble"}[p.State]
	pools := link{Name: "Pool", State: well, Details: []detail{}}
	if answer.Refused != nil {
		pools.State, pools.Words = trouble, answer.Refused.Message
	}
	for _, v := range state.Allocator.Explain(service) {
		if v.Refused == "" {
			pools.Details = append(pools.Details, detail{well, v.Pool + " has " + v.Address.String()})
		} else {
			pools.Details = append(pools.Details, detail{none, v.Pool + " " + v.Refused})
		}
	}
	p.Links = append(p.Links, pools)
	for _, ingress := range object.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(ingress.IP); err == nil {
			p.Links = append(p.Links, announcedLink(state.Announced.Address(state.Time, ip), ingress.IP))
		}
	}
	return p
}

func announcedLink(said announced.Address, ip string) link {
	l := link{Name: "Announced: " + ip, State: well, Words: said.Sentence, Details: []detail{}}
	if !said.Announced() {
		l.State = trouble
	}
	for _, v := range said.Layer2.Verdicts {
		d := detail{none, v.Node + ": " + v.Sentence()}
		if v.Reason == plan.Announces {
			d.State = well
		}
		l.Details = append(l.Details, d)
	}
	return l
}
