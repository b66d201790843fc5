package membership

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestAliveIsFoundAnewWhenAMemberComesOrGoes(t *testing.T) {
	c := New(Config{Name: "n0"})
	e := events{c}
	expect := func(names ...string) {
		t.Helper()
		if is := c.Alive(); !slices.Equal(is, names) {
			t.Errorf("%q are alive, want %q", is, names)
		}
	}
	member := func(name string) *memberlist.Node { return &memberlist.Node{Name: name, Addr: net.IPv4(10, 0, 0, 1)} }
	expect("n0")
	e.NotifyJoin(member("n2"))
	expect("n0", "n2")
	before := c.Alive()
	e.NotifyJoin(member("n1"))
	expect("n0", "n1", "n2")
	e.NotifyLeave(member("n2"))
	expect("n0", "n1")
	e.NotifyUpdate(member("n2"))
	expect("n0", "n1", "n2")
	if !slices.Equal(before, []string{"n0", "n2"}) {
		t.Errorf("what Alive has returned is %q now", before)
	}
}

func TestToAskWhoIsAliveTakesNothing(t *testing.T) {
	c := New(Config{Name: "n"})
	for i := range 1000 {
		events{c}.NotifyJoin(&memberlist.Node{Name: fmt.Sprint("m", i), Addr: net.IPv4(10, 0, 0, 1)})
	}
	if objects := testing.AllocsPerRun(10, func() { c.Alive() }); objects > 0 {
		t.Errorf("Alive makes %.0f objects", objects)
	}
}
