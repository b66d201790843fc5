package plan

import (
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// TestAClaimThatIsRecordedInARestoredAPICountsUntilThatIsRead has the owner be told of a claim that was recorded since etcd was restored. It
// has not read that API yet, and has seen a later version of the other one's Announcer, which was lost.
func TestAClaimThatIsRecordedInARestoredAPICountsUntilThatIsRead(t *testing.T) {
	for name, read := range map[string]bool{"the API is read": true, "the maker has given it up again, and nobody else has it": false} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			other := otherThan(l, owner)
			p := l.nodes[owner].planner
			l.setVersion(other, "110")
			p.ObserveClaims(other, []Takeover{{Address: addr(vip), Epoch: 7, Recorded: true, Version: "105"}}, l.now)
			l.expect(owner, false, "when it is told")
			l.setVersion(other, "111")
			l.expect(owner, false, "when it reads what it had not read of what was lost")
			l.now = l.now.Add(restoredTimeout - time.Second)
			l.expect(owner, false, "before the time is over")
			if read {
				a := l.api[other].DeepCopy()
				a.ResourceVersion = "105"
				a.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{IP: vip, Epoch: 7, Interfaces: []string{"eth0"}}}
				l.nodes[owner].view.SetAnnouncer(other, a)
				l.expect(owner, false, "when it has read the API")
			} else if wake := p.Plan(l.now).Wake; wake.After(l.now.Add(time.Second)) {
				t.Errorf("it looks again at %s", wake)
			}
			l.now = l.now.Add(time.Second)
			l.expect(owner, !read, "when the time is over")
			if len(p.told) > 0 {
				t.Errorf("%v is remembered", p.told)
			}
		})
	}
}

// setVersion has the API show an Announcer in another version to all, as it is otherwise.
func (l *lan) setVersion(name, version string) {
	a := l.api[name].DeepCopy()
	a.ResourceVersion = version
	for _, n := range l.nodes {
		n.view.SetAnnouncer(name, a)
	}
}

// expect checks whether a node announces the address.
func (l *lan) expect(name string, announced bool, when string) {
	l.t.Helper()
	if got := len(l.plan(name).Layer2) > 0; got != announced {
		l.t.Errorf("%s, %s announces the address: %t", when, name, got)
	}
}
