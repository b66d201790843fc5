package announce

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// nodesNamed are n nodes, of which the first are n1 and n2.
func nodesNamed(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("n%d", i+1))
	}
	return names
}

// all starts the announcers of nodes; the first of them has the address.
func (c *cluster) all(names []string) {
	c.t.Helper()
	c.both()
	for _, name := range names[2:] {
		c.start(name)
	}
	c.after(time.Minute)
	c.expectOwners(vip, names[0])
	c.journal.take()
	c.api.forgetCounts()
}

// forgetCounts has writes and reads counted from now on.
func (f *fakeAPI) forgetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.writes)
	clear(f.reads)
}

// expectIdle checks that nodes have asked nothing of the API server since forgetCounts.
func (c *cluster) expectIdle(when string, nodes ...string) {
	c.t.Helper()
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	for _, node := range nodes {
		if writes, reads := c.api.writes[node], c.api.reads[node]; writes > 0 || reads > 0 {
			c.t.Errorf("%s: %s has written %d times and read %d times", when, node, writes, reads)
		}
	}
}

func TestNobodyAsksTheAPIServerForAnythingBecauseOthersComeAndGo(t *testing.T) {
	names := nodesNamed(12)
	for name, tt := range map[string]struct {
		goes  func(c *cluster, r *running)
		comes func(c *cluster, r *running)
	}{
		"restarts": {
			func(c *cluster, r *running) { _ = r.stop() },
			func(c *cluster, r *running) { c.start(r.node) },
		},
		"power": {
			func(c *cluster, r *running) { c.powerOff(r) },
			func(c *cluster, r *running) { c.powerOn(r) },
		},
		"links": {
			func(c *cluster, r *running) { r.station.setConnected(false, true); c.gossip.setCut(r.node, true) },
			func(c *cluster, r *running) { r.station.setConnected(true, false); c.gossip.setCut(r.node, false) },
		},
		"the gossip is blocked": {
			func(c *cluster, r *running) { c.gossip.setCut(r.node, true) },
			func(c *cluster, r *running) { c.gossip.setCut(r.node, false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.all(names)
				stay, roll := names[:8], names[8:]
				for _, name := range roll { // one by one, as in an upgrade, and long enough to be taken for dead
					tt.goes(c, c.running[name])
					c.after(2 * time.Minute)
					tt.comes(c, c.running[name])
					c.after(time.Minute)
				}
				c.expectIdle("one by one", stay...)
				for _, name := range roll {
					tt.goes(c, c.running[name])
				}
				c.after(2 * time.Minute)
				for _, name := range roll {
					tt.comes(c, c.running[name])
				}
				c.after(time.Minute)
				c.expectIdle("all at once", stay...)
				c.expectOwners(vip, "n1")
			})
		})
	}
}

func TestOfTheDeathOfANodeWithAnAddressItsSuccessorAloneWrites(t *testing.T) {
	names := nodesNamed(12)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.all(names)
		c.powerOff(c.running["n1"])
		c.after(5 * time.Minute)
		next := c.lan.owners(addr(vip))
		if len(next) != 1 {
			t.Fatalf("%s have it", next)
		}
		c.powerOn(c.running["n1"])
		c.after(5 * time.Minute)
		others := slices.DeleteFunc(slices.Clone(names[1:]), func(name string) bool { return name == next[0] })
		c.expectIdle("after a death and a return", others...)
		if writes := c.api.writes[next[0]]; writes != 1 && writes != 2 {
			t.Errorf("%s has written %d times", next[0], writes) // the claim, and that n1 is not to be relayed to
		}
	})
}

func TestWhoHasTroubleWithTheGossipSaysSo(t *testing.T) {
	names := nodesNamed(4)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.all(names)
		for i, ip := range []string{"192.168.10.101", "192.168.10.102", "192.168.10.103"} {
			c.service(fmt.Sprint("more-", i), ip)
		}
		c.after(time.Minute)
		for _, name := range names {
			c.expectCondition(name, v1alpha1.ConditionGossip, "True Connected")
		}
		c.gossip.setCut("n2", true)
		c.after(time.Minute)
		c.expectCondition("n2", v1alpha1.ConditionGossip, "False Blocked")
		for _, name := range []string{"n1", "n3", "n4"} {
			c.expectCondition(name, v1alpha1.ConditionGossip, "True Connected")
		}
		c.gossip.setCut("n2", false)
		c.after(time.Minute)
		c.expectCondition("n2", v1alpha1.ConditionGossip, "True Connected")
		c.powerOff(c.running["n3"]) // nothing is wrong with anybody's gossip
		c.after(5 * time.Minute)
		for _, name := range []string{"n1", "n2", "n4"} {
			c.expectCondition(name, v1alpha1.ConditionGossip, "True Connected")
		}
	})
}

func TestAGossipThatComesAndGoesIsWrittenOnce(t *testing.T) {
	names := nodesNamed(4)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.all(names)
		c.service("more", "192.168.10.101")
		c.after(time.Minute)
		before := c.api.writes["n2"]
		for range 60 {
			c.gossip.setCut("n2", true)
			c.after(600 * time.Millisecond)
			c.gossip.setCut("n2", false)
			c.after(400 * time.Millisecond)
		}
		c.expectCondition("n2", v1alpha1.ConditionGossip, "False Blocked")
		c.after(gossipCalm)
		c.expectCondition("n2", v1alpha1.ConditionGossip, "True Connected")
		if writes := c.api.writes["n2"] - before; writes != 2 {
			t.Errorf("n2 has written %d times", writes)
		}
	})
}

func TestOfTwoNodesThatDoNotHearEachOtherBothSaySo(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.both()
		c.service("dns", "192.168.10.101")
		c.after(time.Minute)
		c.gossip.setCut("n1", true)
		c.after(time.Minute)
		c.expectCondition("n1", v1alpha1.ConditionGossip, "False Blocked")
		c.expectCondition("n2", v1alpha1.ConditionGossip, "False Blocked")
	})
}
