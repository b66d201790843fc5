package provider

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// routing is how it stands with the announcement of an address by BGP.
type routing struct {
	// nodes announce the address, on sessions with peers: both are counted.
	nodes, peers int
	// explanation says what is to become of an address that nobody announces.
	explanation plan.BGPExplanation
}

// advertised says whether the address is to be announced by BGP at all.
func (r routing) advertised() bool {
	return r.explanation.Refused != plan.NoAdvertisement && r.explanation.Refused != plan.NoPool && r.explanation.Refused != plan.NotAssigned
}

func (r routing) announced() bool { return r.nodes > 0 }

// say is the part of a sentence that tells from where and to whom.
func (r routing) say() string {
	return fmt.Sprintf("by BGP from %s to %s", counted(r.nodes, "node"), counted(r.peers, "peer"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// whyNot is the reason for the Announced condition and a half sentence about an address that is not announced by BGP although
// it is advertised.
func (r routing) whyNot() (reason, sentence string) {
	if r.explanation.Refused != "" { // NoEndpoint: others are no advertisement
		return v1alpha1.ReasonNoEndpoint, r.explanation.Refused.Sentence()
	}
	able := 0
	var verdicts []plan.Layer2Verdict
	for _, v := range r.explanation.Verdicts {
		if len(v.Peers) > 0 {
			able++
		}
		verdicts = append(verdicts, plan.Layer2Verdict{Node: v.Node, Reason: v.Reason})
	}
	if able == 0 {
		return v1alpha1.ReasonNoNode, whyNoNode(verdicts)
	}
	return v1alpha1.ReasonNoSession, fmt.Sprintf("none of %s that could announce it by BGP has a session", counted(able, "node"))
}

// sessions are the BGPPeers that a node has sessions with, as its announcer reports them, sorted.
func sessionsOf(announcer *v1alpha1.Announcer) []string {
	if announcer == nil {
		return nil
	}
	var peers []string
	for _, session := range announcer.Status.BGP.Peers {
		if session.State == v1alpha1.BGPEstablished {
			peers = append(peers, session.Name)
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

// route finds out how it stands with an address by BGP.
func (o *observer) route(address netip.Addr) routing {
	r := routing{explanation: o.routes.Explain(address)}
	// Nodes that are drained announce an address only if no others can.
	for _, announces := range []plan.Reason{plan.Announces, plan.Draining} {
		var peers []string
		for _, v := range r.explanation.Verdicts {
			if v.Reason != announces {
				continue
			}
			if _, alive := slices.BinarySearch(o.alive, v.Node); !alive {
				continue
			}
			found := false
			for _, peer := range v.Peers {
				if _, established := slices.BinarySearch(o.sessions[v.Node], peer); established {
					found = true
					if !slices.Contains(peers, peer) {
						peers = append(peers, peer)
					}
				}
			}
			if found {
				r.nodes++
			}
		}
		if r.peers = len(peers); r.nodes > 0 {
			break
		}
	}
	return r
}

// The set methods take an object as it is now; nil if it is gone.

func (o *observer) setBGPPeer(name string, object *v1alpha1.BGPPeer) {
	before := o.peers[name]
	if object == nil {
		delete(o.peers, name)
	} else if before.object != nil && before.object.UID == object.UID && before.object.Generation == object.Generation {
		o.peers[name] = bgpObject[*v1alpha1.BGPPeer]{object, before.err} // it has another status
		return
	}
	o.allMarked = true
	if err := o.view.SetBGPPeer(name, object); object != nil {
		o.peers[name] = bgpObject[*v1alpha1.BGPPeer]{object, err}
	}
}

func (o *observer) setBGPAdvertisement(name string, object *v1alpha1.BGPAdvertisement) {
	before := o.advertisements[name]
	if object == nil {
		delete(o.advertisements, name)
	} else if before.object != nil && before.object.UID == object.UID && before.object.Generation == object.Generation {
		o.advertisements[name] = bgpObject[*v1alpha1.BGPAdvertisement]{object, before.err} // it has another status
		return
	}
	o.allMarked = true
	if err := o.view.SetBGPAdvertisement(name, object); object != nil {
		o.advertisements[name] = bgpObject[*v1alpha1.BGPAdvertisement]{object, err}
	}
}

func (o *observer) setCommunity(name string, object *v1alpha1.Community) {
	o.allMarked = true
	o.view.SetCommunity(name, object)
}

// bgpObject is an object and what is wrong with it on its own.
type bgpObject[T any] struct {
	object T
	err    error
}

// peerStatus is the status that a BGPPeer is to have.
func (o *observer) peerStatus(name string) v1alpha1.BGPPeerStatus {
	p := o.peers[name]
	status := v1alpha1.BGPPeerStatus{Conditions: slices.Clone(p.object.Status.Conditions)}
	refused := map[string][]string{}
	for _, node := range o.alive {
		concerned := false
		for _, session := range o.announcers[node].Status.BGP.Peers {
			if session.Name != name {
				continue
			}
			concerned = true
			if session.State == v1alpha1.BGPRefused {
				refused[session.LastError] = append(refused[session.LastError], node)
			}
		}
		if concerned {
			status.Nodes++
		}
		if _, established := slices.BinarySearch(o.sessions[node], name); established {
			status.Established++
		}
	}
	paths := o.paths(name)
	if p.object.Spec.BFDProfile != "" {
		status.BFDUp = &paths.up
	}
	reason, message := v1alpha1.ReasonValid, "The nodes that are selected speak with the router."
	if status.Established < status.Nodes {
		message = fmt.Sprintf("%d of %d nodes have a session with the router: the Announcers of the others say why.", status.Established, status.Nodes)
	}
	switch {
	case p.err != nil:
		reason, message = v1alpha1.ReasonInvalid, p.err.Error()
	case len(refused) > 0:
		reason, message = v1alpha1.ReasonRefused, whoRefuses(refused)
	case status.Nodes == 0:
		reason, message = v1alpha1.ReasonNoNodes, "No node whose announcer is in sight is to speak with the router."
	case status.Established == 0:
		reason, message = v1alpha1.ReasonNoSession, "No node has a session with the router: the Announcers of the nodes say why."
	case len(paths.problems) > 0:
		reason, message = v1alpha1.ReasonNoBFD, "BFD does not watch the path to the router as it should: "+whoRefuses(paths.problems)
	case p.object.Spec.EnableGracefulRestart:
		message += " A node that is shut down without being drained first may keep its routes for two minutes, as if its announcer restarted."
	}
	meta.SetStatusCondition(&status.Conditions, readyCondition(reason, message, p.object.Generation))
	return status
}

// whoRefuses is a sentence of what keeps which nodes from speaking with a router.
func whoRefuses(refused map[string][]string) string {
	var parts []string
	for why, nodes := range refused { // sorted by name
		if more := len(nodes) - namesShown; more > 0 {
			nodes = append(nodes[:namesShown:namesShown], fmt.Sprintf("%d more", more))
		}
		parts = append(parts, and(nodes)+": "+why)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// advertisementCondition is the condition that a BGPAdvertisement is to have. contradictions are those of all.
func (o *observer) advertisementCondition(name string, contradictions map[string]string) metav1.Condition {
	a := o.advertisements[name]
	reason, message := v1alpha1.ReasonValid, "The BGPAdvertisement is in use."
	unknown := func(kind string, names []string, known func(string) bool) {
		for _, n := range names {
			if !known(n) {
				reason, message = v1alpha1.ReasonUnknownName, fmt.Sprintf("there is no %s %s", kind, n)
			}
		}
	}
	spec := a.object.Spec
	unknown("BGPPeer", spec.Peers, func(n string) bool { return o.peers[n].object != nil })
	unknown("IPAddressPool", spec.IPAddressPools, func(n string) bool { return o.pools[n] })
	if why := contradictions[name]; why != "" {
		reason, message = v1alpha1.ReasonContradicts, why
	}
	if why := o.routes.RefusedAdvertisements()[name]; why != "" {
		reason, message = v1alpha1.ReasonInvalid, why
	}
	if a.err != nil {
		reason, message = v1alpha1.ReasonInvalid, a.err.Error()
	}
	return readyCondition(reason, message, a.object.Generation)
}

// recountPatience is how long it can wait that a Service says one thing about its addresses in the place of another, because they
// differ only in from how many nodes and to how many peers addresses are announced; 0 if they differ in more.
func recountPatience(from, to string) time.Duration {
	if counts.ReplaceAllString(from, "") != counts.ReplaceAllString(to, "") {
		return 0
	}
	if countedIn(to) > countedIn(from) {
		return announcedPatience
	}
	return announcedCalm
}

// countedIn is the sum of all nodes and peers that a sentence counts.
func countedIn(text string) (sum int) {
	for _, match := range counts.FindAllStringSubmatch(text, -1) {
		for _, number := range match[1:] {
			n, _ := strconv.Atoi(number) // digits
			sum += n
		}
	}
	return sum
}

var counts = regexp.MustCompile(`by BGP from (\d+) nodes? to (\d+) peers?`)
