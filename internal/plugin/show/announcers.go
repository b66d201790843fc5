package show

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

var announcersVerb = verb{
	use:   "announcers [NODE]",
	short: "Show the nodes, what they announce, and what is wrong with them",
	long: `A node is in sight if its announcer says that it takes part and its Node is Ready. -o wide names the addresses.

The exit code is 1 if a node has no announcer in sight.`,
	example: `  kubectl clarion announcers
  kubectl clarion announcers -o wide`,
	one: "node",
	of:  plugin.Nodes,
	view: func(s *snapshot.State, name string) (view, error) {
		v := announcers{}
		for _, node := range s.Announced.Nodes() {
			if name == "" || node == name {
				v.Nodes = append(v.Nodes, announcerOf(s, node))
			}
		}
		if name != "" && len(v.Nodes) == 0 {
			return nil, plugin.Usagef("there is no Node %s", name)
		}
		return &v, nil
	},
}

type announcers struct {
	Nodes []announcer `json:"nodes"`
}

type announcer struct {
	Node    string `json:"node"`
	InSight bool   `json:"inSight"`
	// Reason is what is wrong with the node most of all; "" if nothing is.
	Reason    string   `json:"reason,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// Established are the BGPPeers of all Sessions with which there is a session.
	Established int        `json:"established"`
	Sessions    int        `json:"sessions"`
	Problems    []why.Item `json:"problems,omitempty"`
}

func announcerOf(s *snapshot.State, node string) announcer {
	a := announcer{Node: node, InSight: s.Announced.Alive(node)}
	if standing := why.NodeStanding(s, node); standing.Mark != why.OK {
		a.Reason, a.InSight = standing.Reason, a.InSight && standing.Reason != v1alpha1.ReasonAnnouncerDown
		a.Problems = append(a.Problems, why.Item{Name: standing.Reason, Mark: why.Warning, Sentence: standing.Sentence, Remedy: standing.Remedy})
	}
	if withdrawal := why.Withdrawal(s, node); withdrawal != nil {
		a.Problems = append(a.Problems, *withdrawal)
	}
	object := s.Announcer(node)
	if object == nil {
		return a
	}
	if a.InSight {
		a.Problems = append(a.Problems, why.Remarks(s, node)...)
	}
	for _, claim := range why.Carried(s, object) {
		if len(claim.Interfaces) > 0 {
			a.Addresses = append(a.Addresses, claim.IP)
		}
	}
	for i := range object.Status.BGP.Peers {
		a.Sessions++
		if a.InSight && object.Status.BGP.Peers[i].State == v1alpha1.BGPEstablished {
			a.Established++
		}
	}
	return a
}

func (v *announcers) well() bool {
	for _, n := range v.Nodes {
		if !n.InSight {
			return false
		}
	}
	return true
}

func (v *announcers) text(out io.Writer, _ plugin.Style, wide bool) error {
	heading := []string{"NODE", "IN-SIGHT", "REASON", "ADDRESSES", "SESSIONS", "PROBLEM"}
	var rows [][]string
	for _, n := range v.Nodes {
		addresses := strconv.Itoa(len(n.Addresses))
		if wide {
			addresses = strings.Join(n.Addresses, ",")
		}
		var problems []string
		for _, p := range n.Problems {
			problems = append(problems, p.Sentence)
		}
		rows = append(rows, []string{n.Node, yes(n.InSight), n.Reason, addresses, fmt.Sprintf("%d/%d", n.Established, n.Sessions), strings.Join(problems, "; ")})
	}
	return table(out, heading, rows)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
