package plan

import (
	"slices"
	"testing"
)

func TestAPausedMemberKeepsItsAddressesAndOneOtherAnswersForThem(t *testing.T) {
	l := web(t)
	mac := eth0
	mac.MAC = "52:54:00:00:00:01"
	for name := range l.nodes {
		l.nodes[name].interfaces = []Interface{mac}
	}
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.absent = map[string]MemberState{owner: Suspect}
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Fatalf("%v took the address while nothing was known", got)
	}
	l.absent[owner] = AnnouncerDown
	l.settle()
	caretakers := func() (names []string) {
		for name, n := range l.nodes {
			if c, cares := n.care[addr(vip)]; cares {
				if c.MAC != mac.MAC || !slices.Equal(c.Interfaces, []string{"eth0"}) {
					t.Errorf("answers with %+v", c)
				}
				names = append(names, name)
			}
		}
		return names
	}
	if got := caretakers(); len(got) != 1 || len(l.owners(vip)) > 0 {
		t.Fatalf("answered for by %v, announced by %v", got, l.owners(vip))
	}
	// A new address does not go to it.
	l.setService(serviceObject("other", "192.168.10.223"))
	l.setEndpoints(endpointsOn("other", "n1"))
	l.settle()
	l.owner("192.168.10.223")

	l.absent = nil
	l.boot(owner, mac)
	for name := range l.nodes {
		l.plan(name)
	}
	if got := caretakers(); len(got) != 1 {
		t.Errorf("right after it came back, answered for by %v", got)
	}
	l.settle() // takes a while
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
	if got := caretakers(); len(got) != 0 {
		t.Errorf("later, answered for by %v", got)
	}

	l.kill(owner)
	l.absent = map[string]MemberState{owner: AnnouncerDown}
	l.settle()
	l.absent[owner] = Dead
	l.settle()
	if got := l.owner(vip); got == owner || len(caretakers()) > 0 {
		t.Errorf("announced by %s, answered for by %v", got, caretakers())
	}
}

func TestAnAddressOfTwoPausedMembersStaysWithNeitherOfThem(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.settle()
	heir := l.owner(vip)
	l.kill(heir)
	l.absent = map[string]MemberState{owner: AnnouncerDown, heir: Dead}
	l.settle()
	if got := l.owner(vip); got == owner || got == heir {
		t.Errorf("announced by %s", got)
	}
}
