package provider

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// claim is what a node has recorded about an address that it announces or is about to.
type claim struct {
	node string
	// interfaces as text; "" if the node does not announce the address yet.
	interfaces string
	epoch      int64
	since      int64
}

// better puts the claim that holds first: the one with the highest epoch, and of two that of the node that announces.
func (c claim) better(d claim) int {
	tentative := func(c claim) int {
		if c.interfaces == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(d.epoch, c.epoch), cmp.Compare(tentative(c), tentative(d)), cmp.Compare(c.node, d.node))
}

// standing is how it stands with the announcement of an address.
type standing struct {
	address netip.Addr
	// claim is the one that holds, nil without any, and alive whether its node's announcer is.
	claim *claim
	alive bool
	// strangers is a half sentence about those who are no announcers and answer for the address; "" without any.
	strangers string
	// explanation says what is to become of an address that nobody announces on layer 2.
	explanation plan.Layer2Explanation
	// routing is how it stands with BGP.
	routing routing
}

// claimed says whether the address is announced on layer 2.
func (s standing) claimed() bool { return s.alive && s.claim.interfaces != "" }

// say returns the reason for the Announced condition and a sentence, which stays the same for as long as nothing changes.
func (s standing) say() (reason, sentence string) {
	const notAnnounced = "%s is not announced: %s"
	if s.claimed() || s.routing.announced() {
		sentence = s.address.String() + " is announced"
		if s.claimed() {
			sentence += fmt.Sprintf(" by %s on %s since %s", s.claim.node, s.claim.interfaces, time.Unix(s.claim.since, 0).UTC().Format(time.RFC3339))
		}
		if s.claimed() && s.routing.announced() {
			sentence += " and"
		}
		if s.routing.announced() {
			sentence += " " + s.routing.say()
		}
		if s.strangers != "" {
			return v1alpha1.ReasonAddressConflict, sentence + ", but " + s.strangers
		}
		return v1alpha1.ReasonAnnounced, sentence
	}
	if s.strangers != "" {
		return v1alpha1.ReasonAddressConflict, fmt.Sprintf(notAnnounced, s.address, s.strangers)
	}
	if s.explanation.Refused == plan.NoAdvertisement && s.routing.advertised() {
		reason, why := s.routing.whyNot()
		return reason, fmt.Sprintf(notAnnounced, s.address, why)
	}
	switch s.explanation.Refused {
	case plan.NoPool, plan.NoAdvertisement:
		return v1alpha1.ReasonNotAdvertised, fmt.Sprintf(notAnnounced, s.address, s.explanation.Refused.Sentence())
	case plan.NoEndpoint:
		return v1alpha1.ReasonNoEndpoint, fmt.Sprintf(notAnnounced, s.address, s.explanation.Refused.Sentence())
	}
	switch {
	case s.explanation.Decision.Owner == "":
		return v1alpha1.ReasonNoNode, fmt.Sprintf(notAnnounced, s.address, whyNoNode(s.explanation.Verdicts))
	case s.alive:
		return v1alpha1.ReasonPending, fmt.Sprintf("%s is about to be announced by %s, which makes sure that nobody else has it", s.address, s.claim.node)
	case s.claim != nil:
		return v1alpha1.ReasonPending, fmt.Sprintf("%s is about to move away from %s, whose announcer is not in sight", s.address, s.claim.node)
	}
	return v1alpha1.ReasonPending, fmt.Sprintf("%s is about to be announced", s.address)
}

// namesShown is how many nodes a sentence names for each reason: a condition of a hundred nodes must stay readable.
const namesShown = 3

// whyNoNode is a half sentence that has the nodes by what keeps them from announcing.
func whyNoNode(verdicts []plan.Layer2Verdict) string {
	if len(verdicts) == 0 {
		return "there is no node"
	}
	var reasons []plan.Reason
	nodes := map[plan.Reason][]string{}
	for _, v := range verdicts { // sorted by name
		if nodes[v.Reason] == nil {
			reasons = append(reasons, v.Reason)
		}
		nodes[v.Reason] = append(nodes[v.Reason], v.Node)
	}
	slices.Sort(reasons)
	var parts []string
	for _, reason := range reasons {
		names := nodes[reason]
		if more := len(names) - namesShown; more > 0 {
			names = append(names[:namesShown:namesShown], fmt.Sprintf("%d more", more))
		}
		parts = append(parts, and(names)+" ("+reason.Sentence()+")")
	}
	return "no node can, neither " + strings.Join(parts, " nor ")
}

// and joins words as in a sentence.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// severity has the reasons of the Announced condition, the one that weighs most first.
var severity = []string{
	v1alpha1.ReasonAddressConflict,
	v1alpha1.ReasonNotAdvertised,
	v1alpha1.ReasonNoEndpoint,
	v1alpha1.ReasonNoNode,
	v1alpha1.ReasonNoSession,
	v1alpha1.ReasonPending,
	v1alpha1.ReasonAnnounced,
}

// announcedCondition is the Announced condition of a Service with these addresses, of which there is at least one.
func announcedCondition(standings []standing) metav1.Condition {
	weightiest := len(severity) - 1
	var sentences []string
	for _, s := range standings {
		reason, sentence := s.say()
		weightiest = min(weightiest, slices.Index(severity, reason))
		sentences = append(sentences, sentence)
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
