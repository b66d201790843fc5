package rights

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const roles = `
kind: ClusterRole
metadata: {name: all}
rules:
- {apiGroups: [""], resources: [nodes, services/status], verbs: [list, watch, patch]}
- {apiGroups: [""], resources: [events], verbs: [create, patch]}
---
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {kind: ClusterRole, name: all}
subjects: [{kind: ServiceAccount, name: a, namespace: b}, {kind: ServiceAccount, name: other, namespace: b}]
---
kind: Role
metadata: {name: one, namespace: c}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [x], verbs: [get]}
---
kind: RoleBinding
metadata: {name: one, namespace: c}
roleRef: {kind: Role, name: one}
subjects: [{kind: ServiceAccount, name: a, namespace: b}]
---
kind: ClusterRoleBinding
metadata: {name: of-kubernetes}
roleRef: {kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: a, namespace: b}]
`

// request is one of a ServiceAccount a in namespace b.
func request(verb, group, resource, subresource, namespace, name string) auditv1.Event {
	event := auditv1.Event{Verb: verb, ObjectRef: &auditv1.ObjectReference{
		APIGroup: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name,
	}}
	event.User.Username = "system:serviceaccount:b:a"
	return event
}

func refused(event auditv1.Event) auditv1.Event {
	event.ResponseStatus = &metav1.Status{Code: 403}
	event.Annotations = map[string]string{"authorization.k8s.io/decision": "forbid"}
	return event
}

func TestRightsThatNobodyUsesAreFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "rbac-some.yaml"), []byte(roles), 0o644); err != nil {
		t.Fatal(err)
	}
	shipped, err := Shipped(dir, "system:serviceaccount:b:a")
	if err != nil || len(shipped) != 9 {
		t.Fatalf("%v, %v", shipped, err)
	}
	var usage Usage
	usage.Note([]auditv1.Event{
		request("watch", "", "nodes", "", "", ""), // and so the list
		request("patch", "", "services", "status", "d", "e"),
		request("list", "", "services", "status", "", ""),
		refused(request("patch", "", "nodes", "", "", "n")),
		request("get", "coordination.k8s.io", "leases", "", "c", "y"),
		request("get", "coordination.k8s.io", "leases", "", "d", "x"),
		{Verb: "get", RequestURI: "/readyz"},
		request("create", "", "events", "", "d", ""), // and so the patch
	})
	want := "[ClusterRole all: patch nodes ClusterRole all: watch services/status Role one in c: get leases.coordination.k8s.io x]"
	if got := fmt.Sprint(usage.Unused(shipped)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	usage.Note([]auditv1.Event{
		request("patch", "", "nodes", "", "", "n"), request("watch", "", "services", "status", "", ""), request("get", "coordination.k8s.io", "leases", "", "c", "x"),
	})
	if got := usage.Unused(shipped); len(got) > 0 {
		t.Errorf("all are used, and these are said not to be: %v", got)
	}
}

func TestARequestIsRefusedByRBACOrByAPolicy(t *testing.T) {
	terminating := request("create", "", "events", "", "a", "")
	terminating.ResponseStatus = &metav1.Status{Code: 403, Message: `unable to create new content in namespace a because it is being terminated`}
	policy := request("patch", "clarionlb.io", "announcers", "status", "", "a")
	policy.ResponseStatus = &metav1.Status{Code: 403, Message: `announcers "a" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'a' denied request: no`}
	granted := request("get", "", "nodes", "", "", "a")
	granted.ResponseStatus = &metav1.Status{Code: 200}
	for name, test := range map[string]struct {
		event auditv1.Event
		want  bool
	}{
		"by RBAC":            {refused(granted), true},
		"by a policy":        {policy, true},
		"the namespace goes": {terminating, false},
		"granted":            {granted, false},
		"not answered yet":   {request("watch", "", "nodes", "", "", ""), false},
	} {
		if got := Refused(&test.event); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
