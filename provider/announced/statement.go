package announced

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// statement is what a Service is told of one of its addresses. Two of them are equal if they say
// the same, which is so for as long as nothing changes.
type statement struct {
	address netip.Addr
	// reason is one of severity.
	reason string
	// layer2 is who announces the address on layer 2, and bgp from where it is announced by BGP;
	// zero if nobody does.
	layer2 announcement
	bgp    reach
	// names are the nodes and BGPPeers that bgp counts, in the words of a sentence.
	names string
	// unsent is a half sentence about an address that is announced on layer 2, and should be by BGP
	// but is sent to no router; "" if nothing keeps it from being sent.
	unsent string
	// conflict is a half sentence about hosts that answer for the address as well; "" without any.
	conflict string
	// unserved is a half sentence about nodes that announce the address and cannot serve it; "" if one can.
	unserved string
	// otherwise is a half sentence about an address that is announced neither way.
	otherwise string
	// failed is a half sentence about a fault of the program that keeps it from finding out more, and
	// from acting upon it; "" if there is none.
	failed string
}

// announcement is who announces an address on layer 2, on which interfaces and since when in seconds.
type announcement struct {
	node, interfaces string
	since            int64
}

// reach is from how many nodes, and to how many peers, an address is announced by BGP.
type reach struct{ nodes, peers int }

func (r reach) String() string {
	return fmt.Sprintf("from %s to %s", counted(r.nodes, "node"), counted(r.peers, "peer"))
}

func (s statement) onLayer2() bool { return s.layer2 != (announcement{}) }
func (s statement) byBGP() bool    { return s.bgp != (reach{}) }

// String is a sentence.
func (s statement) String() string {
	switch {
	case !s.address.IsValid():
		return "what was in force for this Service stays so: " + s.failed
	case s.failed != "":
		return s.sentence(s.bgp.String()) + "; this stays so: " + s.failed
	}
	return s.sentence(s.bgp.String())
}

// named is the sentence that names who announces by BGP. Conditions count them: they are written anew when the sentence changes.
func (s statement) named() string { return s.sentence(s.names) }

func (s statement) sentence(byBGP string) string {
	if !s.onLayer2() && !s.byBGP() {
		return s.address.String() + " is " + s.otherwise
	}
	var ways []string
	if s.onLayer2() {
		since := time.Unix(s.layer2.since, 0).UTC().Format(time.RFC3339)
		ways = append(ways, fmt.Sprintf("by %s on %s since %s", s.layer2.node, s.layer2.interfaces, since))
	}
	if s.byBGP() {
		ways = append(ways, "by BGP "+byBGP)
	}
	sentence := s.address.String() + " is announced " + and(ways)
	if s.unsent != "" {
		sentence += ", and not by BGP: " + s.unsent
	}
	for _, but := range []string{s.unserved, s.conflict} {
		if but != "" {
			sentence += ", but " + but
		}
	}
	return sentence
}

// severity has the reasons of the Announced condition, the one that weighs most first.
var severity = []string{
	v1alpha1.ReasonInternalError,
	v1alpha1.ReasonAddressConflict,
	v1alpha1.ReasonNotAdvertised,
	v1alpha1.ReasonNoEndpoint,
	v1alpha1.ReasonNoNode,
	v1alpha1.ReasonNoSession,
	v1alpha1.ReasonNotSent,
	v1alpha1.ReasonPending,
	v1alpha1.ReasonAnnounced,
}

// announcedCondition is the Announced condition of a Service that is told these statements, of
// which there is at least one.
func announcedCondition(statements []statement) metav1.Condition {
	weightiest := len(severity) - 1
	var sentences []string
	for _, s := range statements {
		weightiest = min(weightiest, slices.Index(severity, s.reason))
		sentences = append(sentences, s.String())
	}
	condition := metav1.Condition{
		Type:    v1alpha1.ConditionAnnounced,
		Status:  metav1.ConditionFalse,
		Reason:  severity[weightiest],
		Message: strings.Join(sentences, "; "),
	}
	if condition.Reason == v1alpha1.ReasonAnnounced {
		condition.Status = metav1.ConditionTrue
	}
	return condition
}
