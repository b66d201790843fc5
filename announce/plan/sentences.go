package plan

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// What people read about plans is here. The sentences are stable.

var sentences = map[Reason]string{
	NotAssigned:        "no Service has this address",
	NoPool:             "no IPAddressPool contains this address",
	NoAdvertisement:    "no L2Advertisement or BGPAdvertisement selects this address",
	NoEndpoint:         "the Service has no endpoint that can serve",
	NoAnnouncer:        "no announcer has run on this node",
	NotAlive:           "the announcer of this node is not in sight",
	Excluded:           "the node is labelled node.kubernetes.io/exclude-from-external-load-balancers",
	NetworkUnavailable: "the Node has the condition NetworkUnavailable",
	NotSelected:        "no advertisement of this address selects the node",
	NoLocalEndpoint:    "externalTrafficPolicy is Local and no endpoint on this node can serve",
	EndpointsTerminate: "externalTrafficPolicy is Local, and the endpoints on this node terminate while others are ready",
	NoInterface:        "no interface of the node that is up suits this address",
	Draining:           "the node is being drained",
	NotReady:           "the Node is not ready",
	KubeProxyDown:      "kube-proxy does not serve on this node, as its Announcer says",
	StandsBy:           "could announce it",
	Announces:          "announces it",
	NoPeer:             "no BGPPeer to which this address is advertised is for the node",
	NoPeerOfFamily:     "spec.addressFamilies of the BGPPeers to which this address is advertised leaves its IP family out",
	OtherPool:          "does not select the pool of this address",
	OtherService:       "does not select the Service by its labels",
	BeyondPool:         "the aggregate reaches beyond the pool of this address",
}

// Sentence is the reason in words for people.
func (r Reason) Sentence() string { return sentences[r] }

// Sentence is the verdict in words for people.
func (v Layer2Verdict) Sentence() string {
	if v.Asked != "" {
		return "no interface that is asked for (" + v.Asked + ") is on the node, up and suits this address"
	}
	return v.Reason.Sentence()
}

// Sentence tells that the address is announced from a node, and in whose place.
func (m Move) Sentence() string {
	text := fmt.Sprintf("%s is announced from node %s", m.Address, m.To)
	switch m.Reason {
	case MoveIncumbentDown:
		text += " " + inPlaceOfDead(m.From)
	case MoveIncumbentIneligible:
		text += " " + inPlaceOf(m.From, m.Verdict)
	case MoveHandedOver:
		text += ", handed over by " + m.From
	}
	return text
}

func inPlaceOfDead(node string) string {
	return fmt.Sprintf("in place of %s, which is not in sight", node)
}

// inPlaceOf has the verdict on a node that is alive; none if nothing keeps it from announcing the address.
func inPlaceOf(node string, verdict Reason) string {
	if verdict == "" || verdict == StandsBy {
		return "in place of " + node
	}
	return fmt.Sprintf("in place of %s (%s)", node, verdict.Sentence())
}

// because tells why the owner is the one that announces the address.
func (e Layer2Explanation) because() string {
	incumbent := e.Decision.Incumbent
	switch e.Decision.Why {
	case election.Unclaimed:
		return "nobody had claimed it"
	case election.IncumbentDown:
		return inPlaceOfDead(incumbent)
	case election.IncumbentIneligible:
		var verdict Reason
		for _, v := range e.Verdicts {
			if v.Node == incumbent {
				verdict = v.Reason
			}
		}
		return inPlaceOf(incumbent, verdict)
	case election.HandedOver:
		return "handed over by " + incumbent
	}
	return "it has the best claim"
}

// String is the explanation as text: a line for the address and one for each node.
func (e Layer2Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Address)
	for _, s := range e.Services {
		fmt.Fprintf(&b, " %s", s)
	}
	if e.Refused != "" {
		fmt.Fprintf(&b, ": %s\n", e.Refused.Sentence())
		return b.String()
	}
	b.WriteByte('\n')
	for _, v := range e.Verdicts {
		fmt.Fprintf(&b, "  %s: %s", v.Node, v.Sentence())
		if v.Reason == Announces {
			b.WriteString(", " + e.because())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Sentence tells what has the node drained, and which addresses it still announces.
func (d Drain) Sentence() string {
	var causes, rest []string
	for _, c := range d.By {
		causes = append(causes, fmt.Sprintf("the %s %s", c.Kind, c.Key))
	}
	if d.Leaving > 0 {
		rest = append(rest, addresses(d.Leaving)+" until another node does")
	}
	if d.Staying > 0 {
		rest = append(rest, addresses(d.Staying)+" that no other node can")
	}
	sentence := "The node is drained by " + strings.Join(causes, " and ")
	if len(rest) == 0 {
		return sentence + " and announces no address on layer 2 any more."
	}
	return sentence + " and announces on layer 2 only " + strings.Join(rest, " and ") + "."
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// ProxySentence tells of a host that answers for every address: what that means and what to do.
func ProxySentence(mac, where string) string {
	return fmt.Sprintf("the host %s answers for every address (proxy ARP), so that nobody can tell whether a host has this one: "+
		"have it stop that, or set duplicateAddressDetection: Disabled in the L2Advertisement (heard by %s)", mac, where)
}

// Sentence is the refusal in words for people.
func (r Refusal) Sentence() string {
	switch r.Reason {
	case SamePeer:
		return fmt.Sprintf("BGPPeer %s, which is older, is for the same router", r.Detail)
	case NoSecret:
		return fmt.Sprintf("there is no Secret %s/%s of type %s", v1alpha1.PasswordNamespace, r.Detail, corev1.SecretTypeBasicAuth)
	case NoPassword:
		return fmt.Sprintf("the Secret %s/%s has no %s", v1alpha1.PasswordNamespace, r.Detail, corev1.BasicAuthPasswordKey)
	case PasswordNewline:
		return fmt.Sprintf("the %s in the Secret %s/%s ends with a newline, which no router takes",
			corev1.BasicAuthPasswordKey, v1alpha1.PasswordNamespace, r.Detail)
	case NoGateway:
		return fmt.Sprintf("the node has no default route by way of an %s router", r.Detail)
	}
	return r.Detail
}

// Sentence tells the owner of the younger advertisement what does not hold.
func (c Contradiction) Sentence() string {
	return fmt.Sprintf("%s is announced with the %s of BGPAdvertisement %s, which is older", c.Prefix, c.Attribute, c.Older)
}

// What BGP peers are told of an announcer that ends and will not be back soon (RFC 9003).
const (
	nodeRemoved  = "the node is removed"
	nodeDrained  = "the node is drained"
	nodeNotReady = "the node is not ready"
)

func noBFDProfile(name string) string    { return "there is no BFDProfile " + name }
func noBGPPeer(name string) string       { return "there is no BGPPeer " + name }
func noIPAddressPool(name string) string { return "there is no IPAddressPool " + name }

func noCommunity(name string) error {
	return &unknownNames{[]string{fmt.Sprintf("no Community defines %q, nor is that a well-known one", name)}}
}

func unsupportedBFDProfile(name string, err error) string {
	return fmt.Sprintf("BFDProfile %s: %v", name, err)
}

func selectsNone(of string) string { return "It selects no " + of + " at present." }
