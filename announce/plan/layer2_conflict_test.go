package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestANewAddressIsClaimedAndProbedBeforeItIsAnnounced(t *testing.T) {
	l := web(t)
	for name := range l.nodes {
		l.record(name)
	}
	l.settle()
	l.deleteService("web")
	l.settle()
	l.setService(serviceObject("web", vip))

	var owner string
	for name := range l.nodes {
		if plan := l.plan(name); len(plan.Probes) > 0 {
			owner = name
			if !slices.Equal(plan.Probes[addr(vip)], []string{"eth0"}) || len(plan.Layer2) > 0 || !plan.Changed {
				t.Errorf("%s plans %+v", name, plan)
			}
		}
	}
	if owner == "" {
		t.Fatal("nobody probes the address")
	}
	p := l.nodes[owner].planner
	if claims := p.Status().Addresses; len(claims) != 1 || len(claims[0].Interfaces) > 0 {
		t.Errorf("claims %+v", claims)
	}
	p.ReportProbe(addr(vip), ConflictingHost{}, "", l.now)
	plan := l.plan(owner)
	if len(plan.Layer2) > 0 || !plan.Wake.Equal(l.now.Add(recordTimeout)) {
		t.Errorf("before its claim is recorded, %s plans %+v", owner, plan)
	}
	l.record(owner)
	if plan = l.plan(owner); len(plan.Layer2) != 1 || len(plan.Moves) != 1 || plan.Moves[0].Reason != MoveNew {
		t.Errorf("then %+v", plan)
	}
}

func TestOfTwoThatClaimANewAddressTheFirstAnnouncesItAndTheOtherNever(t *testing.T) {
	for _, first := range []string{"n1", "n2"} {
		l := web(t)
		for name := range l.nodes {
			l.nodes[name].planner.SetAlive([]string{name})
		}
		for name := range l.api {
			l.api[name].Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{writeInterface(eth0)}
			for _, n := range l.nodes {
				n.view.SetAnnouncer(name, l.api[name])
			}
		}
		second := "n1"
		if first == "n1" {
			second = "n2"
		}
		all := l.alive
		for _, name := range []string{first, second} {
			l.alive = []string{name} // each thinks that it is alone
			l.plan(name)
			l.nodes[name].planner.ReportProbe(addr(vip), ConflictingHost{}, "", l.now)
		}
		l.record(first)
		l.record(second)
		for _, name := range []string{second, first, second} {
			l.alive = all
			l.plan(name)
			if got := l.owners(vip); slices.Contains(got, second) {
				t.Fatalf("%s was second and announces", second)
			}
		}
		if got := l.owner(vip); got != first {
			t.Errorf("%s announces, %s was first", got, first)
		}
		l.settle()
		if got := l.owner(vip); got != first {
			t.Errorf("%s announces in the end, %s was first", got, first)
		}
	}
}

func TestANewAddressIsAnnouncedWithoutTheAPIAfterAWhile(t *testing.T) {
	l := web(t)
	l.apiAway = true
	for name, n := range l.nodes {
		for peer := range l.api {
			l.api[peer].Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{writeInterface(eth0)}
			n.view.SetAnnouncer(peer, l.api[peer])
		}
		l.plan(name)
	}
	start := l.now
	l.settle()
	l.owner(vip)
	if l.now.Sub(start) < recordTimeout {
		t.Errorf("after %s", l.now.Sub(start))
	}
}

func TestAnAddressOfAConflictingHostIsNotAnnouncedUntilTheHostHasGone(t *testing.T) {
	l := web(t)
	l.conflicting = map[string]ConflictingHost{vip: {Interface: "eth0", MAC: "52:54:00:00:00:99"}}
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Fatalf("announced by %v", got)
	}
	var conflicts []v1alpha1.Layer2Conflict
	for _, a := range l.api {
		conflicts = append(conflicts, a.Status.Layer2.Conflicts...)
	}
	if len(conflicts) != 1 || conflicts[0].IP != vip || conflicts[0].MAC != "52:54:00:00:00:99" || conflicts[0].InUse {
		t.Fatalf("conflicts %+v", conflicts)
	}
	l.conflicting = nil
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Fatalf("announced by %v, without another probe", got)
	}
	l.now = l.now.Add(conflictRetry)
	l.settle()
	l.owner(vip)
	for name, a := range l.api {
		if len(a.Status.Layer2.Conflicts) > 0 {
			t.Errorf("%s still says %v", name, a.Status.Layer2.Conflicts)
		}
	}
}

func TestAConflictIsRememberedThroughARestartAndWithoutTheService(t *testing.T) {
	l := web(t)
	l.conflicting = map[string]ConflictingHost{vip: {Interface: "eth0", MAC: "52:54:00:00:00:99"}}
	l.settle()
	var owner string
	for name, a := range l.api {
		if len(a.Status.Layer2.Conflicts) > 0 {
			owner = name
		}
	}
	l.setService(serviceObject("web", "192.168.10.223")) // what the allocator does
	l.boot(owner, eth0)
	l.settle()
	if got := l.api[owner].Status.Layer2.Conflicts; len(got) != 1 {
		t.Errorf("%s says %v", owner, got)
	}
	l.owner("192.168.10.223")
	l.conflicting = nil
	l.now = l.now.Add(conflictRetry)
	l.settle()
	if got := l.api[owner].Status.Layer2.Conflicts; len(got) != 0 {
		t.Errorf("%s says %v", owner, got)
	}
}

func TestAHostThatConflictsWithAnAddressInUseIsReportedForAWhile(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	p := l.nodes[owner].planner
	host := ConflictingHost{Interface: "eth0", MAC: "52:54:00:00:00:99"}
	_, first := p.ObserveConflict(addr(vip), host, l.now)
	if _, again := p.ObserveConflict(addr(vip), host, l.now); !first || again {
		t.Error("heard once, it is news once")
	}
	l.settle()
	if got := l.api[owner].Status.Layer2.Conflicts; len(got) != 1 || !got[0].InUse || l.owner(vip) != owner {
		t.Errorf("%s says %v", owner, got)
	}
	l.now = l.now.Add(conflictExpiry)
	l.settle()
	if got := l.api[owner].Status.Layer2.Conflicts; len(got) != 0 {
		t.Errorf("%s says %v", owner, got)
	}
}

func TestAHostIsNoConflictForAnAddressThatTheNodeDoesNotAnnounce(t *testing.T) {
	l := web(t)
	l.settle()
	for name, n := range l.nodes {
		_, news := n.planner.ObserveConflict(addr(vip), ConflictingHost{Interface: "eth0", MAC: "52:54:00:00:00:99"}, l.now)
		if news != (name == l.owner(vip)) {
			t.Errorf("news for %s: %t", name, news)
		}
	}
}

func TestHowManyHostsEverAnAddressHasOneConflict(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	p := l.nodes[owner].planner
	mac := func(n int) string { return fmt.Sprintf("52:54:00:00:00:%02x", n) }
	news, changed, start := 0, 0, l.now
	for n := range 180 { // three minutes
		if _, is := p.ObserveConflict(addr(vip), ConflictingHost{Interface: "eth0", MAC: mac(n)}, l.now); is {
			news++
		}
		if l.plan(owner).Changed {
			changed++
		}
		l.now = l.now.Add(time.Second)
	}
	if news != 1 || changed > 5 {
		t.Errorf("%d times news, %d changes of what is recorded in %s", news, changed, l.now.Sub(start))
	}
	l.now = l.now.Add(lastMACInterval)
	l.settle()
	got := l.api[owner].Status.Layer2.Conflicts
	if len(got) != 1 || got[0].MAC != mac(0) || got[0].LastMAC != mac(179) || !got[0].Since.Time.Equal(start.Truncate(time.Second)) {
		t.Errorf("in the end recorded as %+v", got)
	}
	l.boot(owner, eth0)
	if _, is := l.nodes[owner].planner.ObserveConflict(addr(vip), ConflictingHost{Interface: "eth0", MAC: mac(0)}, l.now); is {
		t.Error("news before the announcer knows anything")
	}
	l.settle()
	if again := l.api[owner].Status.Layer2.Conflicts; len(again) > 1 || len(again) == 1 && again[0].MAC != mac(0) {
		t.Errorf("after a restart recorded as %+v", again)
	}
}

func TestAConflictWhoseHostChangesIsNoOtherConflict(t *testing.T) {
	l := web(t)
	l.conflicting = map[string]ConflictingHost{vip: {Interface: "eth0", MAC: "52:54:00:00:00:99"}}
	l.settle()
	l.conflicting = map[string]ConflictingHost{vip: {Interface: "eth0", MAC: "52:54:00:00:00:9a"}}
	l.now = l.now.Add(conflictRetry)
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Errorf("announced by %v", got)
	}
	for name, a := range l.api {
		for _, c := range a.Status.Layer2.Conflicts {
			if c.MAC != "52:54:00:00:00:99" || c.LastMAC != "52:54:00:00:00:9a" {
				t.Errorf("%s has recorded %+v", name, c)
			}
		}
	}
}

func TestConflictsTakeLimitedRoom(t *testing.T) {
	c, now := conflicts{}, time.Now()
	ip, first := addr("10.0.0.0"), addr("10.0.0.1")
	for n := range maxConflicts + 10 {
		ip = ip.Next()
		c.note(ip, ConflictingHost{Interface: "eth0", MAC: "52:54:00:00:00:99"}, n%2 == 0, now.Add(time.Duration(n)*time.Hour))
	}
	if len(c) != maxConflicts || c[first] != nil || c[ip] == nil {
		t.Errorf("%d conflicts are known, the first: %v, the last: %v", len(c), c[first], c[ip])
	}
	if _, news := c.note(ip, ConflictingHost{Interface: "eth0", MAC: "52:54:00:00:00:9a"}, c[ip].InUse, now); news || len(c) != maxConflicts {
		t.Error("what is known takes room anew")
	}
}
