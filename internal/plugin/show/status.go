package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

var statusVerb = verb{
	use:   "status",
	short: "Show on one screen how it stands",
	long: `Versions, pools, announcers, sessions, and the Services in trouble with what is wrong with each. kubectl clarion why tells more about one.

The exit code is 1 if a Service is in trouble or the cloud-controller-manager does not run.`,
	example: `  kubectl clarion status
  kubectl clarion status -o json`,
	view: func(s *snapshot.State, _ string) (view, error) { return statusOf(s), nil },
}

type status struct {
	Versions   []version  `json:"versions"`
	Controller why.Link   `json:"controller"`
	Pools      []pool     `json:"pools"`
	Nodes      int        `json:"nodes"`
	InSight    int        `json:"inSight"`
	Peers      []peer     `json:"peers,omitempty"`
	Services   int        `json:"services"`
	Trouble    []why.Item `json:"trouble,omitempty"`
	Degraded   []why.Item `json:"degraded,omitempty"`
}

// version is what pods of a program run.
type version struct {
	Program string `json:"program"`
	Image   string `json:"image"`
	Pods    int    `json:"pods"`
}

func statusOf(s *snapshot.State) *status {
	v := &status{Versions: versionsOf(s), Controller: why.Controller(s)}
	for _, p := range s.IPAddressPools {
		of := poolOf(s, p)
		v.Pools = append(v.Pools, of)
		if !of.Ready {
			v.Degraded = append(v.Degraded, why.Item{Name: "IPAddressPool " + p.Name, Mark: why.Warning, Sentence: of.Message})
		}
	}
	for _, node := range s.Announced.Nodes() {
		v.Nodes++
		a := announcerOf(s, node)
		if a.InSight {
			v.InSight++
		}
		v.Degraded = append(v.Degraded, degradedOf(a)...)
	}
	for _, p := range s.BGPPeers {
		of := peerOf(s, p.Name)
		if !of.Ready || of.Established < of.Nodes {
			v.Degraded = append(v.Degraded, why.Item{Name: "BGPPeer " + p.Name, Mark: why.Warning, Sentence: of.Message, Remedy: "kubectl clarion bgp " + p.Name})
		}
		v.Peers = append(v.Peers, of)
	}
	v.Degraded = append(v.Degraded, why.NotReady(s)...)
	for _, name := range served(s) {
		v.Services++
		if r := why.Service(s, name); !r.OK {
			v.Trouble = append(v.Trouble, why.Item{Name: name.String(), Mark: why.Failed, Sentence: r.Summary, Remedy: "kubectl clarion why " + name.String()})
		}
	}
	return v
}

// served are the Services that ask Clarion for a load balancer.
func served(s *snapshot.State) (names []types.NamespacedName) {
	for _, service := range s.Services {
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Scope.Wants(service) {
			names = append(names, snapshot.NameOf(service))
		}
	}
	return names
}

// InTrouble are the Services of which the verb status says so.
func InTrouble(s *snapshot.State) (names []types.NamespacedName) {
	for _, name := range served(s) {
		if !why.Service(s, name).OK {
			names = append(names, name)
		}
	}
	return names
}

// WriteStatus writes what the verb status does.
func WriteStatus(out io.Writer, s *snapshot.State) error {
	return statusOf(s).text(out, plugin.StyleFor(out), true)
}

// degradedOf is what is wrong with a node.
func degradedOf(a announcer) (items []why.Item) {
	for _, p := range a.Problems {
		items = append(items, why.Item{Name: "Node " + a.Node, Mark: why.Warning, Sentence: p.Sentence, Remedy: cmp.Or(p.Remedy, "kubectl clarion why node/"+a.Node)})
	}
	return items
}

// versionsOf counts the pods of both programs by what they run.
func versionsOf(s *snapshot.State) (versions []version) {
	for _, pod := range s.Pods {
		for _, c := range pod.Spec.Containers {
			of := version{pod.Labels["app.kubernetes.io/name"], c.Image, 0}
			i := slices.IndexFunc(versions, func(v version) bool { return v.Program == of.Program && v.Image == of.Image })
			if i < 0 {
				versions, i = append(versions, of), len(versions)
			}
			versions[i].Pods++
		}
	}
	slices.SortFunc(versions, func(a, b version) int { return strings.Compare(a.Program+a.Image, b.Program+b.Image) })
	return versions
}

func (v *status) well() bool { return len(v.Trouble) == 0 && v.Controller.Mark != why.Failed }

func (v *status) text(out io.Writer, style plugin.Style, _ bool) error {
	heading := func(text string) { fmt.Fprintln(out, style.Paint(plugin.Bold, text)) }
	heading("Programs")
	fmt.Fprintf(out, "  %s %s\n", why.Sign(v.Controller.Mark, style), v.Controller.Sentence)
	for _, version := range v.Versions {
		fmt.Fprintf(out, "  %d × %s %s\n", version.Pods, version.Program, version.Image)
	}
	heading("Pools")
	for _, p := range v.Pools {
		for _, f := range p.Families {
			fmt.Fprintf(out, "  %s %-16s %s %d of %d in use\n", bar(f.Assigned, f.Total), p.Name, f.Family, f.Assigned, f.Total)
		}
	}
	heading("Nodes")
	fmt.Fprintf(out, "  %d of %d announcers in sight\n", v.InSight, v.Nodes)
	if len(v.Peers) > 0 {
		heading("Sessions")
		for _, p := range v.Peers {
			fmt.Fprintf(out, "  %d of %d established with %s\n", p.Established, p.Nodes, p.Name)
		}
	}
	heading("Services")
	fmt.Fprintf(out, "  %d of %d in order\n", v.Services-len(v.Trouble), v.Services)
	printItems(out, style, v.Trouble)
	if len(v.Degraded) > 0 {
		heading("Degraded")
		printItems(out, style, v.Degraded)
	}
	return nil
}

func printItems(out io.Writer, style plugin.Style, items []why.Item) {
	for _, i := range items {
		fmt.Fprintf(out, "  %s %s: %s\n", why.Sign(i.Mark, style), i.Name, i.Sentence)
		if i.Remedy != "" {
			fmt.Fprintf(out, "    → %s\n", i.Remedy)
		}
	}
}
