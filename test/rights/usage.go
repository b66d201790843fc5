package rights

import (
	"net/http"
	"strings"
	"sync"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Usage is what was done, on however many clusters. The zero value is ready for use.
type Usage struct {
	mu   sync.Mutex
	done map[Right]bool // with no role
}

// Note adds what an audit log has.
func (u *Usage) Note(events []auditv1.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done == nil {
		u.done = map[Right]bool{}
	}
	for i := range events {
		if right, ok := asked(&events[i]); ok && !Refused(&events[i]) {
			u.done[right] = true
		}
	}
}

// asked is the right that a request needs.
func asked(event *auditv1.Event) (Right, bool) {
	ref := event.ObjectRef
	if ref == nil {
		return Right{}, false // of no resource
	}
	resource := ref.Resource
	if ref.Subresource != "" {
		resource += "/" + ref.Subresource
	}
	return Right{Account: event.User.Username, Namespace: ref.Namespace, Verb: event.Verb, Group: ref.APIGroup, Resource: resource, Name: ref.Name}, true
}

// Refused says whether RBAC or an admission policy refused a request. It may also be forbidden for what other people do, such
// as deleting a namespace.
func Refused(event *auditv1.Event) bool {
	status := event.ResponseStatus
	return status != nil && status.Code == http.StatusForbidden &&
		(event.Annotations["authorization.k8s.io/decision"] == "forbid" || strings.Contains(status.Message, "ValidatingAdmissionPolicy"))
}

// Unused are the rights of which nobody made use. Two may be missing in a run, and are not among them if what they belong to was
// done: a list beside a watch, since client-go lists where it cannot have the watch begin with all that there is; and the patch of
// an event beside its creation, which counts an event that comes again.
func (u *Usage) Unused(rights []Right) []Right {
	u.mu.Lock()
	defer u.mu.Unlock()
	var unused []Right
	for _, right := range rights {
		beside := right
		switch {
		case right.Verb == "list":
			beside.Verb = "watch"
		case right.Verb == "patch" && right.Resource == "events":
			beside.Verb = "create"
		}
		if !u.used(right) && !u.used(beside) {
			unused = append(unused, right)
		}
	}
	return unused
}

func (u *Usage) used(right Right) bool {
	for done := range u.done {
		if done.Account == right.Account && done.Verb == right.Verb && done.Group == right.Group && done.Resource == right.Resource &&
			(right.Namespace == "" || done.Namespace == right.Namespace) && (right.Name == "" || done.Name == right.Name) {
			return true
		}
	}
	return false
}
