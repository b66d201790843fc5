// Package whatif answers what would become of a cluster: if nodes failed or were drained, if files were applied. It changes a clone of
// a Snapshot, and compares what follows from both by the code that the components run.
package whatif

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/provider/announced"
)

// Outlook is how it stands with all addresses of Services once every node has done what falls to it.
type Outlook struct {
	Services map[types.NamespacedName]Service
	// Nodes are all nodes, by name.
	Nodes map[string]Node
	// Sessions are the nodes that have an established session with a BGPPeer and keep it, sorted, by the name of the BGPPeer.
	Sessions map[string][]string
}

// Service is one that asks Clarion for a load balancer.
type Service struct {
	// Addresses are what it has, in the order in which it has them.
	Addresses []Address
	// Refused is why it does not have what it asks for; "" if it does.
	Refused string
}

// Address is how it stands with an address.
type Address struct {
	Address netip.Addr
	announced.Outlook
}

// Node is what one carries.
type Node struct {
	// Alive says whether its announcer is.
	Alive bool
	// Addresses are how many it announces on layer 2, and Routes how many by BGP.
	Addresses, Routes int
}

// Answered says whether the Service has addresses and all of them are announced.
func (s Service) Answered() bool {
	return len(s.Addresses) > 0 && !slices.ContainsFunc(s.Addresses, func(a Address) bool { return !a.Announced() })
}

// Of looks out from a State.
func Of(state *snapshot.State) *Outlook {
	o := &Outlook{Services: map[types.NamespacedName]Service{}, Nodes: map[string]Node{}, Sessions: map[string][]string{}}
	for _, name := range state.Announced.Nodes() {
		o.Nodes[name] = Node{Alive: state.Announced.Alive(name)}
	}
	seen := map[netip.Addr]bool{}
	for _, name := range slices.SortedFunc(maps.Keys(state.Answers), compareNames) {
		service := Service{}
		answer := state.Answers[name]
		if answer.Refused != nil {
			service.Refused = answer.Refused.Message
		}
		for _, ip := range answer.Addresses {
			address := Address{ip, state.Announced.Outlook(state.Time, ip)}
			service.Addresses = append(service.Addresses, address)
			if !seen[ip] {
				o.count(address)
			}
			seen[ip] = true
		}
		o.Services[name] = service
	}
	o.keepSessions(state)
	return o
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// count adds what nodes carry of an address.
func (o *Outlook) count(a Address) {
	if n, known := o.Nodes[a.Owner]; known {
		n.Addresses++
		o.Nodes[a.Owner] = n
	}
	for i, r := range a.Routes {
		if i == 0 || a.Routes[i-1].Node != r.Node {
			n := o.Nodes[r.Node]
			n.Routes++
			o.Nodes[r.Node] = n
		}
	}
}

// keepSessions fills Sessions: those of nodes whose announcers are alive. A drained node closes those on which it has nothing to
// announce.
func (o *Outlook) keepSessions(state *snapshot.State) {
	for _, announcer := range state.Announcers {
		node := state.Node(announcer.Name)
		if node == nil || !state.Announced.Alive(announcer.Name) || len(plan.DrainedBy(node)) > 0 && o.Nodes[announcer.Name].Routes == 0 {
			continue
		}
		for _, session := range announcer.Status.BGP.Peers {
			if session.State == v1alpha1.BGPEstablished && !slices.Contains(o.Sessions[session.Name], announcer.Name) {
				o.Sessions[session.Name] = append(o.Sessions[session.Name], announcer.Name)
			}
		}
	}
	for _, nodes := range o.Sessions {
		slices.Sort(nodes)
	}
}
