package whatif

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/provider/announced"
)

// Change is what becomes of a Service.
type Change struct {
	Service types.NamespacedName `json:"-"`
	Name    string               `json:"service"`
	// Lost and Gained are addresses; one of each of a family is a move.
	Lost   []netip.Addr `json:"lost,omitempty"`
	Gained []netip.Addr `json:"gained,omitempty"`
	// Moved are addresses that another node announces on layer 2 than before.
	Moved []Move `json:"moved,omitempty"`
	// Withdrawn and Announced are routes that go and come.
	Withdrawn []string `json:"withdrawn,omitempty"`
	Announced []string `json:"announced,omitempty"`
	// Refused is why the Service does not have what it asks for any more; "" if that is not so, or was so before.
	Refused string `json:"refused,omitempty"`
	// Unanswered says that the Service was answered before and is not any more, in a sentence.
	Unanswered string `json:"unanswered,omitempty"`
	// Answered says that the Service was not answered before and is.
	Answered bool `json:"answered,omitempty"`
}

// Move is an address that changes nodes; "" stands for no node.
type Move struct {
	Address netip.Addr `json:"address"`
	From    string     `json:"from,omitempty"`
	To      string     `json:"to,omitempty"`
}

// empty says whether nothing changes.
func (c *Change) empty() bool {
	return len(c.Lost)+len(c.Gained)+len(c.Moved)+len(c.Withdrawn)+len(c.Announced) == 0 && c.Refused == "" && c.Unanswered == "" && !c.Answered
}

// Compare says what becomes of Services, by name. answered is what counts as being answered: in a cluster that has not yet had the time
// to set sessions up, a planned route does.
func Compare(before, after *Outlook, answered func(Service) bool) (changes []Change) {
	names := map[types.NamespacedName]bool{}
	for name := range before.Services {
		names[name] = true
	}
	for name := range after.Services {
		names[name] = true
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), compareNames) {
		c := compare(before.Services[name], after.Services[name], answered)
		c.Service, c.Name = name, name.String()
		if !c.empty() {
			changes = append(changes, c)
		}
	}
	return changes
}

func compare(before, after Service, answered func(Service) bool) (c Change) {
	had, has := byAddress(before), byAddress(after)
	for _, a := range before.Addresses {
		if _, kept := has[a.Address]; !kept {
			c.Lost = append(c.Lost, a.Address)
		}
	}
	for _, a := range after.Addresses {
		old, kept := had[a.Address]
		if !kept {
			c.Gained = append(c.Gained, a.Address)
		}
		if kept && old.Owner != a.Owner {
			c.Moved = append(c.Moved, Move{a.Address, old.Owner, a.Owner})
		}
	}
	c.Withdrawn, c.Announced = routesBut(before, after), routesBut(after, before)
	if after.Refused != before.Refused {
		c.Refused = after.Refused
	}
	c.Answered = !answered(before) && answered(after)
	if answered(before) && !answered(after) {
		c.Unanswered = whyNot(after)
	}
	return c
}

func byAddress(s Service) map[netip.Addr]Address {
	all := map[netip.Addr]Address{}
	for _, a := range s.Addresses {
		all[a.Address] = a
	}
	return all
}

// routesBut are the routes of one Service that another has not, a sentence for each address and peer.
func routesBut(of, but Service) (list []string) {
	others := byAddress(but)
	for _, a := range of.Addresses {
		nodes := map[string][]string{}
		for _, r := range a.Routes {
			same := func(o announced.Route) bool { return o.Node == r.Node && o.Peer == r.Peer }
			if !slices.ContainsFunc(others[a.Address].Routes, same) {
				nodes[r.Peer] = append(nodes[r.Peer], r.Node)
			}
		}
		for _, peer := range slices.Sorted(maps.Keys(nodes)) {
			list = append(list, fmt.Sprintf("%s to %s by %s", a.Address, peer, strings.Join(nodes[peer], ", ")))
		}
	}
	return list
}

// whyNot is why a Service is not answered.
func whyNot(s Service) string {
	var reasons []string
	for _, a := range s.Addresses {
		if a.WhyNot != "" && !slices.Contains(reasons, a.WhyNot) {
			reasons = append(reasons, a.WhyNot)
		}
	}
	switch {
	case len(reasons) > 0:
		return strings.Join(reasons, "; ")
	case s.Refused != "":
		return s.Refused
	}
	return "it has no address"
}

// Planned says whether a Service is answered once sessions are there for the routes that are to be announced.
func Planned(s Service) bool {
	return len(s.Addresses) > 0 && !slices.ContainsFunc(s.Addresses, func(a Address) bool { return a.Owner == "" && len(a.Routes) == 0 })
}
