package plan

import (
	"slices"
	"testing"
)

func TestAMemberWhoseAnnouncerIsDownKeepsItsAddressesAndOneOtherProxiesThem(t *testing.T) {
	l := web(t)
	mac := eth0
	mac.MAC = "52:54:00:00:00:01"
	for name := range l.nodes {
		l.nodes[name].interfaces = []Interface{mac}
	}
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.states = map[string]MemberState{owner: Suspect}
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Fatalf("%v took the address while nothing was known", got)
	}
	l.states[owner] = AnnouncerDown
	l.settle()
	proxying := func() (names []string) {
		for name, n := range l.nodes {
			if c, is := n.proxied[addr(vip)]; is {
				if c.MAC != mac.MAC || !slices.Equal(c.Interfaces, []string{"eth0"}) {
					t.Errorf("answers with %+v", c)
				}
				names = append(names, name)
			}
		}
		return names
	}
	if got := proxying(); len(got) != 1 || len(l.owners(vip)) > 0 {
		t.Fatalf("answered for by %v, announced by %v", got, l.owners(vip))
	}
	// A new address does not go to it.
	l.setService(serviceObject("other", "192.168.10.223"))
	l.setEndpoints(endpointsOn("other", "n1"))
	l.settle()
	l.owner("192.168.10.223")

	l.states = nil
	l.boot(owner, mac)
	for name := range l.nodes {
		l.plan(name)
	}
	if got := proxying(); len(got) != 1 {
		t.Errorf("right after it came back, answered for by %v", got)
	}
	l.settle() // takes a while
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
	if got := proxying(); len(got) != 0 {
		t.Errorf("later, answered for by %v", got)
	}

	l.kill(owner)
	l.states = map[string]MemberState{owner: AnnouncerDown}
	l.settle()
	next := proxying()
	l.states[owner] = Dead
	l.settle()
	if got := l.owner(vip); !slices.Equal(next, []string{got}) || len(proxying()) > 0 {
		t.Errorf("announced by %s, answered for by %v", got, proxying())
	}
}

func TestAnAddressOfTwoMembersThatAreDownStaysWithNeitherOfThem(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.settle()
	successor := l.owner(vip)
	l.kill(successor)
	l.states = map[string]MemberState{owner: AnnouncerDown, successor: Dead}
	l.settle()
	if got := l.owner(vip); got == owner || got == successor {
		t.Errorf("announced by %s", got)
	}
}
