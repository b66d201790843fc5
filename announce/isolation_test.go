package announce

import (
	"testing"
	"time"
)

// powerOff has a node gone without a word: nothing that its announcer does reaches anybody.
func (c *cluster) powerOff(r *running) {
	r.connection.setReachable(false)
	r.station.setConnected(false, false)
	c.gossip.setCut(r.node, true)
}

// powerOn connects it again.
func (c *cluster) powerOn(r *running) {
	r.station.setConnected(true, false)
	c.gossip.setCut(r.node, false)
	r.connection.setReachable(true)
}

func TestTheAddressesOfADeadNodeAreTakenOver(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.powerOff(n1)
		c.after(deathTimeout + 200*time.Millisecond)
		c.expectOwners(vip, "n2")
		if got := c.metric("n2", "clarion_announcer_layer2_moves_total"); got != 1 {
			t.Errorf("n2 counts %v moves", got)
		}
	})
}

func TestANodeThatIsCutOffAnnouncesNothingUntilItKnowsWhatTheOthersHave(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.service("dns", "192.168.10.101")
		c.after(time.Minute)
		c.expectOwners("192.168.10.101", "n2") // without addresses, nobody would ask what has become of n2
		c.powerOff(n1)
		c.after(5 * time.Second)
		c.expectInOrder("n1 answers for nothing")
		if !n1.seen.isolated {
			t.Error("n1 does not know that it is isolated")
		}
		c.expectLogged(n1, `"msg"="No longer announcing an address"`, `"why"="the node reaches no other announcer, API server or router"`)
		// The LAN is back first, then the gossip, then the API.
		n1.station.setConnected(true, false)
		c.after(time.Second)
		c.expectOwners(vip, "n2")
		c.gossip.setCut("n1", false)
		c.after(time.Second)
		c.expectOwners(vip, "n2")
		n1.connection.setReachable(true)
		c.after(100 * time.Millisecond)
		c.expectLogged(n1, `"condition"="Ready"`, `"reason"="Isolated"`)
		c.after(time.Minute)
		c.expectOwners(vip, "n2")
		c.expectNotLogged(n1, `"reason"="NoInterface"`)
		if n1.seen.isolated {
			t.Error("n1 takes itself for isolated still")
		}
		c.expectReady("n1", "True Running")
	})
}

func TestANodeWhoseLinkIsDownAnnouncesNothing(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		n1.station.setConnected(false, true)
		c.gossip.setCut("n1", true)
		c.after(5 * time.Second)
		c.expectOwners(vip, "n2")
		c.expectInOrder("n1 answers for nothing")
		c.expectReady("n1", "False ") // it can still say so
		n1.station.setConnected(true, false)
		c.gossip.setCut("n1", false)
		c.after(time.Minute)
		c.expectOwners(vip, "n2")
		c.expectReady("n1", "True Running")
	})
}

func TestABlockedGossipMovesNothing(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		c.gossip.setCut("n1", true)
		c.after(10 * time.Minute)
		c.expectOwners(vip, "n1")
		if blocked := n2.seen.gossipBlocked; len(blocked) != 1 || blocked[0] != "n1" {
			t.Errorf("n2 finds the gossip of %s blocked", blocked)
		}
		c.gossip.setCut("n1", false)
		c.after(time.Second)
		if blocked := n2.seen.gossipBlocked; len(blocked) != 0 {
			t.Errorf("n2 still finds the gossip of %s blocked", blocked)
		}
	})
}

func TestAddressesGoOnWithoutTheAPI(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, n2 := c.both()
		n1.connection.setReachable(false)
		n2.connection.setReachable(false)
		c.after(time.Hour)
		c.expectOwners(vip, "n1")
		c.powerOff(n1)
		c.after(5 * time.Second)
		c.expectOwners(vip, "n2")
		c.powerOn(n1)
		n2.connection.setReachable(true)
		c.after(time.Minute)
		c.expectOwners(vip, "n2") // it has recorded that now
	})
}

func TestManyWitnessesAskFewQuestionsAboutANodeWhoseAnnouncerIsDown(t *testing.T) {
	names := []string{"n1", "n2", "n3", "n4", "n5", "n6"}
	inCluster(t, names, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		for _, name := range names[2:] {
			c.start(name)
		}
		c.after(time.Minute)
		c.lan.mu.Lock()
		n1.station.answering = false
		c.lan.questions, c.lan.broadcasts = 0, 0
		c.lan.mu.Unlock()
		c.gossip.setCut("n1", true)
		c.after(50 * time.Second)
		c.lan.mu.Lock()
		defer c.lan.mu.Unlock()
		// Each of five asks the node and its announcer about 20 times, with two tries for the latter.
		if c.lan.questions > 5*80 || c.lan.broadcasts > 5*10 {
			t.Errorf("%d questions, %d of them broadcasts, in 50 s", c.lan.questions, c.lan.broadcasts)
		}
	})
}

func TestANodeThatHasAllAddressesNoticesThatItIsCutOff(t *testing.T) {
	for _, size := range []int{2, 3} {
		names := nodesNamed(size)
		inCluster(t, names, func(t *testing.T, c *cluster) {
			c.all(names)
			n1 := c.running["n1"]
			c.powerOff(n1)
			c.after(10 * time.Second)
			owners := c.lan.owners(addr(vip))
			if len(owners) != 1 || owners[0] == "n1" {
				t.Errorf("%d nodes: %s have it", size, owners)
			}
			c.expectInOrder("n1 answers for nothing")
			if !n1.seen.isolated {
				t.Errorf("%d nodes: n1 does not know that it is isolated", size)
			}
			n1.station.setConnected(true, false) // the LAN is back first
			for range 20 {
				c.after(50 * time.Millisecond)
				c.expectOwners(vip, owners...)
			}
			c.powerOn(n1)
			c.after(time.Minute)
			c.expectOwners(vip, owners...)
			if n1.seen.isolated {
				t.Errorf("%d nodes: n1 takes itself for isolated still", size)
			}
		})
	}
}

func TestANodeThatReachesSomethingKeepsWhatItHasWhenTheOthersAreGone(t *testing.T) {
	for name, cut := range map[string]func(c *cluster, n1 *running){
		"the others have died": func(c *cluster, n1 *running) { c.powerOff(c.running["n2"]); c.powerOff(c.running["n3"]) },
		"and the API server": func(c *cluster, n1 *running) {
			c.powerOff(c.running["n2"])
			c.powerOff(c.running["n3"])
			n1.connection.setReachable(false)
		},
		"and the router, but not the API server": func(c *cluster, n1 *running) {
			c.powerOff(c.running["n2"])
			c.powerOff(c.running["n3"])
			c.lan.setConflictingHost(gateway, nil)
		},
		"their gossip is blocked": func(c *cluster, n1 *running) { c.gossip.setCut("n1", true) },
		"it reaches nobody for a moment": func(c *cluster, n1 *running) {
			c.lan.setConflictingHost(gateway, nil)
			n1.connection.setReachable(false)
			c.gossip.setCut("n1", true)
			c.after(4 * time.Second)
			n1.connection.setReachable(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			names := nodesNamed(3)
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.all(names)
				cut(c, c.running["n1"])
				for range 60 {
					c.after(time.Second)
					c.expectOwners(vip, "n1")
				}
			})
		})
	}
}
