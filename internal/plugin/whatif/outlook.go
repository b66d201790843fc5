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
	// Owner is the node that announces it on layer 2; "" for none.
	Owner string
	// Routes are from which node to which BGPPeer it is announced by BGP, sorted.
	Routes []Route
	// Why is a sentence about an address that nobody announces.
	Why string
}

// Route is an announcement by BGP. Without an established session it is what the node would announce.
type Route struct {
	Node, Peer  string
	Established bool
}

func compareRoutes(a, b Route) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Peer, b.Peer))
}

// Node is what one carries.
type Node struct {
	// Alive says whether its announcer is.
	Alive bool
	// Addresses are how many it announces on layer 2, and Routes how many by BGP.
	Addresses, Routes int
}

// Answered says whether somebody announces the address.
func (a *Address) Answered() bool {
	return a.Owner != "" || slices.ContainsFunc(a.Routes, func(r Route) bool { return r.Established })
}

// Answered says whether the Service has addresses and all of them are announced.
func (s Service) Answered() bool {
	return len(s.Addresses) > 0 && !slices.ContainsFunc(s.Addresses, func(a Address) bool { return !a.Answered() })
}

// Of looks out from a State.
func Of(state *snapshot.State) *Outlook {
	o := &Outlook{Services: map[types.NamespacedName]Service{}, Nodes: map[string]Node{}, Sessions: map[string][]string{}}
	for _, name := range state.Announced.Nodes() {
		o.Nodes[name] = Node{Alive: state.Announced.Alive(name)}
	}
	established := sessionsOf(state)
	seen := map[netip.Addr]bool{}
	for _, name := range slices.SortedFunc(maps.Keys(state.Answers), compareNames) {
		service := Service{}
		answer := state.Answers[name]
		if answer.Refused != nil {
			service.Refused = answer.Refused.Message
		}
		for _, ip := range answer.Addresses {
			address := addressOf(state, ip, established)
			service.Addresses = append(service.Addresses, address)
			if !seen[ip] {
				o.count(address)
			}
			seen[ip] = true
		}
		o.Services[name] = service
	}
	o.keepSessions(state, established)
	return o
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func addressOf(state *snapshot.State, ip netip.Addr, established map[Route]bool) Address {
	said := state.Announced.Address(state.Time, ip)
	a := Address{Address: ip, Owner: said.Layer2.Decision.Owner}
	if said.Owner == "" && said.Conflict != "" {
		a.Owner = "" // a host that has the address keeps it from being announced
	}
	for _, announces := range []plan.Reason{plan.Announces, plan.Draining} { // a drained node announces what no other node can
		for _, v := range said.BGP.Verdicts {
			if v.Reason != announces || !state.Announced.Alive(v.Node) {
				continue
			}
			for _, peer := range v.Peers {
				a.Routes = append(a.Routes, Route{v.Node, peer, established[Route{v.Node, peer, true}]})
			}
		}
		if len(a.Routes) > 0 {
			break
		}
	}
	slices.SortFunc(a.Routes, compareRoutes)
	if !a.Answered() {
		a.Why = said.Sentence
	}
	return a
}

// sessionsOf are the established sessions of nodes whose announcers are alive.
func sessionsOf(state *snapshot.State) map[Route]bool {
	sessions := map[Route]bool{}
	for _, announcer := range state.Announcers {
		for _, session := range announcer.Status.BGP.Peers {
			if session.State == v1alpha1.BGPEstablished && state.Announced.Alive(announcer.Name) {
				sessions[Route{announcer.Name, session.Name, true}] = true
			}
		}
	}
	return sessions
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

// keepSessions fills Sessions: a drained node closes those on which it has nothing to announce.
func (o *Outlook) keepSessions(state *snapshot.State, established map[Route]bool) {
	for session := range established {
		node := state.Node(session.Node)
		if node == nil || len(plan.DrainedBy(node)) > 0 && o.Nodes[session.Node].Routes == 0 {
			continue
		}
		o.Sessions[session.Peer] = append(o.Sessions[session.Peer], session.Node)
	}
	for _, nodes := range o.Sessions {
		slices.Sort(nodes)
	}
}
