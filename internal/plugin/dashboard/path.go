package dashboard

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

// path is how a Service comes to be reached, link by link: what "kubectl clarion why" says.
type path struct {
	State standing `json:"state"`
	Words string   `json:"words"`
	Links []link   `json:"links"`
}

// link is a part of a path that may fail.
type link struct {
	Name    string   `json:"name"`
	State   standing `json:"state"`
	Words   string   `json:"words"`
	Fix     string   `json:"fix"`
	Details []link   `json:"details"` // what the link depends on; they have none
}

var standings = map[why.Mark]standing{why.OK: well, why.Failed: trouble, why.Warning: warning, why.Note: none}

// pathOf is the path of a Service; nil if there is none.
func pathOf(state *snapshot.State, namespace, name string) *path {
	service := types.NamespacedName{Namespace: namespace, Name: name}
	if state.Service(service) == nil {
		return nil
	}
	report := why.Service(state, service)
	p := &path{State: well, Words: report.Summary, Links: []link{}}
	if !report.OK {
		p.State = trouble
	}
	for _, l := range report.Links {
		out := link{Name: l.Name, State: standings[l.Mark], Words: l.Sentence, Fix: l.Remedy, Details: []link{}}
		if l.Address != "" {
			out.Name += " of " + l.Address
		}
		for _, i := range l.Items {
			out.Details = append(out.Details, link{Name: i.Name, State: standings[i.Mark], Words: i.Sentence, Fix: i.Remedy, Details: []link{}})
		}
		p.Links = append(p.Links, out)
	}
	return p
}
