package announce

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// settle has all nodes see each other for long enough that heartbeats arrive.
func (c *cluster) settle(names []string) {
	c.all(names)
	c.after(10 * time.Second)
	c.journal.take()
}

func TestADeathIsNoticedByHeartbeatsBeforeTheGossipNotices(t *testing.T) {
	for _, size := range []int{2, 3, 5, 12, 30} {
		for _, alongside := range []int{0, 1} {
			if alongside >= size-1 {
				continue
			}
			names := nodesNamed(size)
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				order := c.running["n2"].planner.Heirs("n1")
				c.powerOff(c.running["n1"])
				for _, name := range order[:alongside] { // whoever would take over may die too
					c.powerOff(c.running[name])
				}
				c.after(silentAfter + 20*time.Millisecond)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 {
					t.Errorf("%d nodes: %s answer", size, owners)
				}
				for range 100 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owners...)
				}
			})
		}
	}
}

// writes are what nodes have written since the journal was last taken.
func (c *cluster) writes() (writes []string) {
	for _, line := range c.journal.take() {
		if strings.Contains(line, " records ") || strings.Contains(line, " moved") {
			writes = append(writes, line)
		}
	}
	return writes
}

func TestHeartbeatsAloneMoveNothingAndHaveNobodyWrite(t *testing.T) {
	names := nodesNamed(6)
	for name, happens := range map[string]func(c *cluster){
		"their port is blocked for one": func(c *cluster) { c.mute("n1", true) },
		"for all": func(c *cluster) {
			for _, name := range names {
				c.mute(name, true)
			}
		},
		"again and again, as on busy nodes": func(c *cluster) {
			for n := range 200 {
				name := names[n%len(names)]
				c.mute(name, true)
				c.after(time.Duration(60+n) * time.Millisecond)
				c.mute(name, false)
				c.after(10 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				c.lan.asked("n1")
				happens(c)
				for range 30 {
					c.after(time.Second)
					c.expectOwners(vip, "n1")
				}
				if writes := c.writes(); len(writes) > 0 {
					t.Errorf("nodes have written %s", writes)
				}
			})
		})
	}
}

func TestTheAnnouncerOfANodeThatAnswersMayDieAndComeBack(t *testing.T) {
	names := nodesNamed(4)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.settle(names)
		n1 := c.running["n1"]
		c.lan.mu.Lock()
		n1.station.answering = false
		c.lan.mu.Unlock()
		c.mute("n1", true)
		c.gossip.setCut("n1", true)
		for range 20 {
			c.after(500 * time.Millisecond)
			if owners := c.lan.owners(addr(vip)); len(owners) > 0 {
				t.Fatalf("%s have taken over", owners)
			}
		}
		c.gossip.setCut("n1", false)
		c.mute("n1", false)
		c.lan.mu.Lock()
		n1.station.answering = true
		c.lan.mu.Unlock()
		c.after(5 * time.Second)
		c.expectOwners(vip, "n1")
	})
}

func TestANodeThatIsCutOffForAMomentLearnsWhoHasItsAddresses(t *testing.T) {
	names := nodesNamed(5)
	for _, cut := range []time.Duration{50, 100, 149, 155, 160, 180, 200, 250, 290, 310, 500} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				c.powerOff(c.running["n1"])
				c.after(cut * time.Millisecond)
				c.powerOn(c.running["n1"])
				c.after(tellDeadEvery + 20*time.Millisecond)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 {
					t.Errorf("%s answer", owners)
				}
				c.after(time.Minute)
				c.expectOwners(vip, owners...)
			})
		})
	}
}

func TestANodeOfWhichNothingRunsForAWhileFindsWhoHasItsAddressesAndTakesNothingBack(t *testing.T) {
	names := nodesNamed(5)
	for _, stopped := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(fmt.Sprint(stopped), func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				n1 := c.running["n1"]
				c.powerOff(n1) // its kernel, too: a virtual machine
				c.after(stopped)
				n1.wakeUp(stopped)
				c.powerOn(n1)
				c.after(time.Second)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 || stopped >= time.Second && owners[0] == "n1" {
					t.Errorf("%s answer", owners)
				}
				for range 50 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owners...)
				}
			})
		})
	}
}

func TestAnAnnouncerThatIsStoppedOnANodeThatRunsKeepsWhatItHas(t *testing.T) {
	names := nodesNamed(5)
	for _, stopped := range []time.Duration{time.Second, 10 * time.Second} {
		t.Run(fmt.Sprint(stopped), func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				n1 := c.running["n1"]
				fakeResponder{n1.station}.setAnswering(false)
				c.mute("n1", true)
				c.gossip.setCut("n1", true)
				for range stopped / (100 * time.Millisecond) {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip) // others answer in its name
				}
				n1.wakeUp(stopped)
				fakeResponder{n1.station}.setAnswering(true)
				c.mute("n1", false)
				c.gossip.setCut("n1", false)
				c.after(time.Second)
				for range 50 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, "n1")
				}
			})
		})
	}
}

func TestAnnouncersWithoutHeartbeatsBesideOthersWithThem(t *testing.T) {
	names := nodesNamed(6)
	for name, old := range map[string][]string{
		"the owner":   {"n1"},
		"the others":  {"n2", "n3", "n4", "n5", "n6"},
		"some of all": {"n1", "n3", "n5"},
		"some others": {"n3", "n5"},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				for _, name := range old {
					c.heartless[name] = true
				}
				c.settle(names)
				c.powerOff(c.running["n1"])
				c.after(deathTimeout + 2*90*time.Millisecond)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 || slices.Contains(owners, "n1") {
					t.Errorf("%s answer", owners)
				}
				for range 100 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owners...)
				}
			})
		})
	}
}
