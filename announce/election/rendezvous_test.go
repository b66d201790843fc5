package election

import "testing"

func TestTheHashPutsOneOfTheEligibleNodesFirst(t *testing.T) {
	nodes := []string{"a", "b", "c", "d"}
	firsts := map[string]bool{}
	for i := range 50 {
		r, ip := NewRound(nodes), address(i)
		want := firstOf(ip, "a", "b", "d")
		if got := First(nodes, eligible(r, "a", "b", "d"), ip); got != want {
			t.Errorf("%s: %q is first, want %q", ip, got, want)
		}
		firsts[want] = true
	}
	if len(firsts) != 3 {
		t.Errorf("of three nodes %d are ever the first", len(firsts))
	}
	if got := First(nodes, NewSet(len(nodes)), address(1)); got != "" {
		t.Errorf("%q is the first of none", got)
	}
}
