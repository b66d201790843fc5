package dashboard

import (
	"net/netip"
	"strings"
	"unicode"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

// node is a Node, with what its announcer does.
type node struct {
	Name      string        `json:"name"`
	State     standing      `json:"state"`
	Says      string        `json:"says"`  // a word or two
	Words     string        `json:"words"` // a sentence, if it is not well
	Remarks   []remark      `json:"remarks"`
	Layer2    bool          `json:"layer2"` // the node can carry addresses on layer 2
	Addresses []nodeAddress `json:"addresses"`
	Routes    int32         `json:"routes"`
}

// remark is something that is not well on a node that announces all the same.
type remark struct {
	Kind  string `json:"kind"`
	Words string `json:"words"`
}

// nodeAddress is an address that a node answers for on layer 2.
type nodeAddress struct {
	IP      string `json:"ip"`
	Service string `json:"service"`
	Words   string `json:"words"`
}

// nodesOf has all Nodes, and Announcers of Nodes that are not there any more.
func nodesOf(state *snapshot.State) []node {
	list := []node{}
	for _, object := range state.Nodes {
		list = append(list, nodeOf(state, object.Name, state.Announcer(object.Name)))
	}
	for _, announcer := range state.Announcers {
		if state.Node(announcer.Name) == nil {
			list = append(list, nodeOf(state, announcer.Name, announcer))
		}
	}
	return list
}

func nodeOf(state *snapshot.State, name string, announcer *v1alpha1.Announcer) node {
	n := node{Name: name, Remarks: []remark{}, Addresses: []nodeAddress{}}
	if announcer != nil {
		n.Layer2 = len(announcer.Status.Layer2.Interfaces) > 0
		n.Addresses = carried(state, announcer)
		if state.Announced.Alive(name) {
			n.Remarks = remarksOn(state, name)
			for _, session := range announcer.Status.BGP.Peers {
				n.Routes = max(n.Routes, session.Prefixes)
			}
		}
	}
	if withdrawal := why.Withdrawal(state, name); withdrawal != nil {
		n.Remarks = append(n.Remarks, remark{split(withdrawal.Name), withdrawal.Sentence})
	}
	is := why.NodeStanding(state, name)
	n.State, n.Says, n.Words = standings[is.Mark], split(is.Reason), is.Sentence
	return n
}

// split makes words of a reason: "no interface" of "NoInterface".
func split(reason string) string {
	var b strings.Builder
	for i, r := range reason {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// remarksOn are what is wrong on a node that announces all the same.
func remarksOn(state *snapshot.State, name string) []remark {
	list := []remark{}
	for _, i := range why.Remarks(state, name) {
		kind, _, _ := strings.Cut(i.Name, "=")
		list = append(list, remark{kind, i.Sentence})
	}
	return list
}

// carried are the addresses that a node has on layer 2.
func carried(state *snapshot.State, announcer *v1alpha1.Announcer) []nodeAddress {
	list := []nodeAddress{}
	for _, claim := range why.Carried(state, announcer) {
		address := nodeAddress{IP: claim.IP, Words: why.ClaimSentence(claim)}
		if services := state.Announced.Services(netip.MustParseAddr(claim.IP)); len(services) > 0 {
			address.Service = services[0].String()
		}
		list = append(list, address)
	}
	return list
}
