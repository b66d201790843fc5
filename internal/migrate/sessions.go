package migrate

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// movedLabel is that of nodes whose sessions with routers the other load balancer has given up.
	movedLabel = "clarionlb.io/moved"
	// unlabel takes it away when all is done.
	unlabel = "kubectl label nodes --all " + movedLabel + "-"
)

// notMoved is what a selector of nodes requires so that it selects those that have not moved.
var notMoved = map[string]any{"key": movedLabel, "operator": "DoesNotExist"}

// speaksBGP says whether Clarion has routers for peers.
func (b *builder) speaksBGP() bool {
	return slices.ContainsFunc(b.plan.Objects, func(o unstructured.Unstructured) bool { return o.GetKind() == "BGPPeer" })
}

// keepSessions notes that sessions of the other load balancer stay, for something that Clarion does not announce.
func (b *builder) keepSessions(from Ref, of string) {
	b.sessionsStay = true
	b.remark(Lost, from, "announces %s, which Clarion does not: its sessions with routers stay, and most routers have one with a node. "+
		"Give Clarion's another address, or pass its routes on (docs/bgp.md, Beside another BGP speaker on the node)", of)
}

// leaveNodes are the steps by which the other load balancer gives up its sessions node by node, so that routers take those of Clarion
// in their place. The commands have it do so on nodes with movedLabel. There are none where no session has to go.
func (b *builder) leaveNodes(commands ...string) []Step {
	if !b.speaksBGP() || b.sessionsStay || len(commands) == 0 {
		return nil
	}
	return []Step{{
		Title:    "Have its sessions with routers end on nodes with the label " + movedLabel + ". No node has it yet, so all of them go on",
		Commands: commands,
	}, {
		Title: "Give the nodes that label, each when the one before has all its sessions from Clarion. Routers leave a node out for some seconds meanwhile",
		Commands: []string{`for node in $(kubectl get announcers --output='jsonpath={..metadata.name}'); do kubectl label node $node ` + movedLabel + `=; ` +
			`until sessions=$(kubectl get announcer $node --output='jsonpath={.status.summary.sessions}') && [ "${sessions%/*}" = "${sessions#*/}" ]; do sleep 1; done; done`},
	}}
}

// leaveByDaemonSet has the pods of a DaemonSet go from nodes with movedLabel. With the strategy OnDelete the others go on; otherwise
// any change of the template replaces them all.
func leaveByDaemonSet(namespace, name string) string {
	return fmt.Sprintf("kubectl --namespace=%s patch daemonset %s --type=merge --patch='%s'", namespace, name, jsonOf(map[string]any{"spec": map[string]any{
		"updateStrategy": map[string]any{"type": "OnDelete", "rollingUpdate": nil},
		"template": map[string]any{"spec": map[string]any{"affinity": map[string]any{"nodeAffinity": map[string]any{
			"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
				"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{notMoved}}},
			},
		}}}},
	}}))
}

// jsonOf is a value as JSON.
func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode %v: %v", value, err)) // it is of maps, lists and strings
	}
	return string(text)
}

// noteSessions says what a move means for sessions with routers.
func (b *builder) noteSessions() {
	if b.speaksBGP() && !b.sessionsStay {
		b.remark(Note, Ref{}, "most routers have one session with a node: that of Clarion comes up on a node when the one before is gone from it")
	}
	for _, object := range b.plan.Objects {
		if restarts, _, _ := unstructured.NestedBool(object.Object, "spec", "enableGracefulRestart"); restarts {
			b.remark(Note, Ref{Kind: object.GetKind(), Name: object.GetName()}, "has graceful restart: a router takes a second session of a node for the first one that is back, "+
				"and closes that (RFC 4724, section 4.2), in turn: switch it off in %s before --apply", b.plan.Source)
		}
	}
}
