package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

// standing is how it stands with something, and what colour and mark it has on the page.
type standing string

const (
	well    standing = "ok"
	warning standing = "warning" // it waits, or was set aside on purpose
	trouble standing = "trouble"
	none    standing = "none" // there is nothing to be well
)

// overview is all that the page shows without a question. The JSON names are what page/*.js read.
type overview struct {
	Cluster  string    `json:"cluster"`
	Problems []problem `json:"problems"`
	Pools    []pool    `json:"pools"`
	Nodes    []node    `json:"nodes"`
	Peers    []peer    `json:"peers"`
	Services []service `json:"services"`
	Moves    []move    `json:"moves"`
}

// problem is something that needs attention.
type problem struct {
	State standing `json:"state"`
	Kind  string   `json:"kind"`
	On    string   `json:"on"`
	Words string   `json:"words"`
}

// maxProblems is how many problems stand above everything else. The rest is where it belongs.
const maxProblems = 8

// overviewOf is what there is to show of a cluster of this name.
func overviewOf(cluster string, state *snapshot.State) *overview {
	o := &overview{
		Cluster:  cluster,
		Services: servicesOf(state),
		Nodes:    nodesOf(state),
		Peers:    peersOf(state),
		Moves:    movesOf(state),
	}
	o.Pools = poolsOf(state, o.Services)
	o.Problems = o.problems(state.Unread, why.Controller(state), why.NotReady(state))
	return o
}

// problems has what is wrong, the worst first, and of that what concerns most first. others are objects that the page does not show.
func (o *overview) problems(unread []snapshot.Unread, controller why.Link, others []why.Item) []problem {
	list := []problem{}
	note := func(kind, on string, state standing, words string) {
		if state == trouble || state == warning && kind != "Service" {
			list = append(list, problem{state, kind, on, words})
		}
	}
	note("Program", snapshot.ControllerName, standings[controller.Mark], controller.Sentence)
	for _, u := range unread {
		note("not read", u.Kind, warning, u.Why)
	}
	for _, n := range o.Nodes {
		note("Node", n.Name, n.State, cmp.Or(n.Words, n.Says))
		for _, r := range n.Remarks {
			note("Node", n.Name, warning, r.Words)
		}
	}
	for _, p := range o.Peers {
		note("BGPPeer", p.Name, p.State, p.Words)
	}
	for _, p := range o.Pools {
		note("Pool", p.Name, p.State, p.Words)
	}
	for _, item := range others {
		kind, name, _ := strings.Cut(item.Name, " ")
		note(kind, name, standings[item.Mark], item.Sentence)
	}
	for _, s := range o.Services {
		note("Service", s.Name, s.State, s.Words)
	}
	weight := map[standing]int{trouble: 0, warning: 1}
	slices.SortStableFunc(list, func(a, b problem) int { return cmp.Compare(weight[a.State], weight[b.State]) })
	return list[:min(len(list), maxProblems)]
}

// moment is a time as the page reads it; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
