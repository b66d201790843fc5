package announce

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAttendanceFollowsWhateverItGoesBy(t *testing.T) {
	c := newStill(3, 9)
	interfaces := interfacesOf(c.lan.links.Interfaces())
	attend := func(alive ...string) attendance {
		c.attend(alive, interfaces)
		return c.others.attendance
	}
	questions := func(a attendance) (texts []string) {
		for _, q := range a.quorum.InGossip {
			texts = append(texts, q.Address.String()+" "+q.MACs)
		}
		slices.Sort(texts)
		return texts
	}
	expect := func(what string, is attendance, missing []string, asked ...string) {
		t.Helper()
		if got := questions(is); !slices.Equal(got, asked) || !slices.Equal(is.missing, missing) {
			t.Errorf("%s: asked are %q and missing %q, want %q and %q", what, got, is.missing, asked, missing)
		}
	}
	const n1, n2 = "10.100.0.1 02:00:00:00:00:01", "10.100.0.2 02:00:00:00:00:02"
	expect("all are in sight", attend("node-0000", "node-0001", "node-0002"), nil, n1, n2)
	expect("one is out of sight", attend("node-0000", "node-0002"), []string{"node-0001"}, n2)
	expect("another one is", attend("node-0000", "node-0001"), []string{"node-0002"}, n1)
	expect("all are back", attend("node-0000", "node-0001", "node-0002"), nil, n1, n2)

	moved := nodeObject("node-0001", "10.100.0.99")
	c.view.SetNode(moved.Name, moved)
	expect("the address of a node is another", attend("node-0000", "node-0001", "node-0002"), nil, n2, "10.100.0.99 02:00:00:00:00:01")

	c.announcers[2].Status.Layer2.Interfaces[0].MAC = "02:00:00:00:00:77"
	c.setAnnouncer(2)
	expect("the hardware address of a node is another", attend("node-0000", "node-0001", "node-0002"), nil, "10.100.0.2 02:00:00:00:00:77",
		"10.100.0.99 02:00:00:00:00:01")

	c.view.SetAnnouncer("node-0001", nil)
	c.view.SetNode("node-0001", (*corev1.Node)(nil))
	c.updatePeers()
	gone := attend("node-0000", "node-0002")
	expect("a node is gone for good", gone, nil, "10.100.0.2 02:00:00:00:00:77")
	if gone.quorum.Expected != 2 {
		t.Errorf("%d announcers are expected, want 2", gone.quorum.Expected)
	}

	c.view.SetNode("node-0003", nodeObject("node-0003", "10.100.0.3"))
	c.view.SetAnnouncer("node-0003", &v1alpha1.Announcer{})
	c.updatePeers()
	expect("one has come that is not in sight yet", attend("node-0000", "node-0002"), []string{"node-0003"}, "10.100.0.2 02:00:00:00:00:77")

	interfaces = []plan.Interface{}
	expect("this node has no interface", attend("node-0000", "node-0002"), []string{"node-0003"}, "invalid IP ")
}

func TestATurnTakesNoMoreWhereThereAreMoreMembers(t *testing.T) {
	takes := func(nodes int) float64 {
		c, n := newStill(nodes, 100), 0
		c.turn(t.Context())
		return testing.AllocsPerRun(10, func() {
			n++
			c.setEndpoints(1, n%2)
			c.turn(t.Context())
		})
	}
	if few, many := takes(10), takes(1000); many > few+10 {
		t.Errorf("a turn makes %.0f objects among 10 members, and %.0f among 1,000", few, many)
	}
}

// TestWhoIsInSightAgainIsGreetedAndSoSeesThisNode has a node see the others first, after it could send nothing, and have nothing to tell them.
func TestWhoIsInSightAgainIsGreetedAndSoSeesThisNode(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.gossip.setCut("n2", true)
		c.after(5 * time.Second)
		c.gossip.meetOneWay("n2")
		if slices.Contains(n1.others.members.Alive(), "n2") {
			t.Fatal("n1 sees n2 at once")
		}
		c.after(time.Second)
		if !slices.Contains(n1.others.members.Alive(), "n2") {
			t.Error("n1 does not see n2")
		}
	})
}
