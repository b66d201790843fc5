package install

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/rights"
)

// Accounts are the users that both programs are.
var Accounts = []string{"system:serviceaccount:kube-system:" + CCM, "system:serviceaccount:clarion-system:announcer"}

// programs begin the user agents of both programs. Tests that borrow their tokens have others.
var programs = []string{CCMProcess + "/", "announcer/"}

// usage is what the programs have done, on all clusters of this process that are gone.
var usage rights.Usage

// UnusedRights are the rights by the shipped roles of which the programs made no use on any cluster of this process that is
// gone.
func UnusedRights() ([]rights.Right, error) {
	root, err := setup.Checkout()
	if err != nil {
		return nil, err
	}
	shipped, err := rights.Shipped(filepath.Join(root, "manifests"), Accounts...)
	if err != nil {
		return nil, err
	}
	return usage.Unused(shipped), nil
}

// refusals are the times in which it is no fault that a program is refused something.
type refusals struct{ expected [][2]time.Time }

// RightsGo says that from now on, until done is called, roles are taken away while programs may still run.
func (i *Installation) RightsGo() (done func()) {
	begun := time.Now()
	return func() { i.refusals.expected = append(i.refusals.expected, [2]time.Time{begun, time.Now()}) }
}

func (r *refusals) expect(event *auditv1.Event) bool {
	at := event.RequestReceivedTimestamp
	return slices.ContainsFunc(r.expected, func(span [2]time.Time) bool { return !at.Time.Before(span[0]) && !at.Time.After(span[1]) })
}

// checkRights fails the test if the API server refused the programs anything, and notes what they did.
func (i *Installation) checkRights(t testing.TB) {
	t.Helper()
	usage.Note(CheckRights(t, i.Cluster, i.refusals.expect))
}

// CheckRights fails the test if the API server of a cluster, whose Config.Audited is Accounts, refused the programs anything that is not
// expected. It returns all that they asked for.
func CheckRights(t testing.TB, c *cluster.Cluster, expected func(*auditv1.Event) bool) []auditv1.Event {
	t.Helper()
	events, err := c.Audit()
	if err != nil {
		t.Error(err)
		return nil
	}
	events = slices.DeleteFunc(events, func(event auditv1.Event) bool {
		return !slices.ContainsFunc(programs, func(program string) bool { return strings.HasPrefix(event.UserAgent, program) })
	})
	refused := map[string]bool{}
	for k := range events {
		if event := &events[k]; rights.Refused(event) && !expected(event) {
			refused[fmt.Sprintf("%s: %s %s: %s", event.User.Username, event.Verb, event.RequestURI, event.ResponseStatus.Message)] = true
		}
	}
	for _, text := range slices.Sorted(maps.Keys(refused)) {
		t.Errorf("a program was refused what it asked for: %s", text)
	}
	return events
}
