package show

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

var bgpVerb = verb{
	use:   "bgp [BGPPEER]",
	short: "Show the sessions with routers, and what is wrong with them",
	long: `All sessions of all nodes are shown, those with trouble first, with what the router said last.

The exit code is 1 if there is a BGPPeer with which a node has no session.`,
	example: `  kubectl clarion bgp
  kubectl clarion bgp tor -o wide`,
	one: "BGPPeer",
	of:  plugin.BGPPeers,
	view: func(s *snapshot.State, name string) (view, error) {
		v := peers{}
		for _, p := range s.BGPPeers {
			if name == "" || p.Name == name {
				v.Peers = append(v.Peers, peerOf(s, p.Name))
			}
		}
		if name != "" && len(v.Peers) == 0 {
			return nil, plugin.Usagef("there is no BGPPeer %s", name)
		}
		return &v, nil
	},
}

type peers struct {
	Peers []peer `json:"peers"`
}

type peer struct {
	Name string `json:"name"`
	// Nodes is how many are to have a session, and Established how many have one.
	Nodes       int32     `json:"nodes"`
	Established int32     `json:"established"`
	Ready       bool      `json:"ready"`
	Message     string    `json:"message"`
	Sessions    []session `json:"sessions,omitempty"`
}

type session struct {
	Node     string       `json:"node"`
	Address  string       `json:"address"`
	State    string       `json:"state"`
	Since    *metav1.Time `json:"since,omitempty"`
	Prefixes int32        `json:"prefixes"`
	BFD      string       `json:"bfd,omitempty"`
	Problem  string       `json:"problem,omitempty"`
}

func peerOf(s *snapshot.State, name string) peer {
	status := s.Announced.BGPPeer(name)
	p := peer{Name: name, Nodes: status.Nodes, Established: status.Established}
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); c != nil {
		p.Ready, p.Message = c.Status == metav1.ConditionTrue, c.Message
	}
	for _, a := range s.Announcers {
		for _, of := range a.Status.BGP.Peers {
			if of.Name != name {
				continue
			}
			standing := why.SessionStanding(s, a.Name, &of)
			at := session{Node: a.Name, Address: of.Address, State: standing.Reason, Since: of.Since, Prefixes: of.Prefixes, Problem: standing.Sentence}
			if of.BFD != nil {
				at.BFD = string(of.BFD.State)
			}
			p.Sessions = append(p.Sessions, at)
		}
	}
	slices.SortStableFunc(p.Sessions, func(a, b session) int { return cmp.Compare(weight(a), weight(b)) })
	return p
}

// weight has sessions with trouble before others.
func weight(s session) int {
	switch {
	case s.State != string(v1alpha1.BGPEstablished):
		return 0
	case s.Problem != "":
		return 1
	}
	return 2
}

func (v *peers) well() bool {
	return !slices.ContainsFunc(v.Peers, func(p peer) bool { return !p.Ready || p.Established < p.Nodes })
}

func (v *peers) text(out io.Writer, _ plugin.Style, wide bool) error {
	heading := []string{"BGPPEER", "NODE", "STATE", "PREFIXES", "BFD", "PROBLEM"}
	if wide {
		heading = append(heading, "ROUTER", "SINCE")
	}
	var rows [][]string
	for _, p := range v.Peers {
		if len(p.Sessions) == 0 {
			rows = append(rows, slices.Concat([]string{p.Name, "", "", "", "", p.Message}, make([]string, len(heading)-6)))
		}
		for _, s := range p.Sessions {
			row := []string{p.Name, s.Node, s.State, strconv.Itoa(int(s.Prefixes)), s.BFD, s.Problem}
			if wide {
				since := ""
				if s.Since != nil {
					since = s.Since.UTC().Format(time.RFC3339)
				}
				row = append(row, s.Address, since)
			}
			rows = append(rows, row)
		}
	}
	return table(out, heading, rows)
}
