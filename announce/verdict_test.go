package announce

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// byHeartbeats says whether a node has found by heartbeats, since its log was last taken, that another one is dead.
func (r *running) byHeartbeats(dead string) bool {
	return slices.ContainsFunc(r.logged.take(), func(line string) bool {
		return strings.Contains(line, `"node"="`+dead+`"`) && strings.Contains(line, "its heartbeats have stopped")
	})
}

// awaitTakeover returns which node answers so long after another one has lost its power.
func (c *cluster) awaitTakeover(dead string, within time.Duration) (owner string) {
	c.t.Helper()
	c.after(within)
	owners := c.lan.owners(addr(vip))
	if len(owners) != 1 || owners[0] == dead {
		c.t.Fatalf("%s answer %s after the power of %s went", owners, within, dead)
	}
	return owners[0]
}

// TestHeartbeatsDecideHoweverOftenAndWheneverPowerGoesAndComesBack takes the power from whoever answers, again and again: at random
// moments after another node is back, in every other run with a new process.
func TestHeartbeatsDecideHoweverOftenAndWheneverPowerGoesAndComesBack(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 16))
			names := nodesNamed(3 + random.IntN(4))
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				owner := "n1"
				for range 5 {
					for _, r := range c.running {
						r.logged.take()
					}
					dead := c.running[owner]
					c.powerOff(dead)
					owner = c.awaitTakeover(dead.node, silentAfter+90*time.Millisecond+20*time.Millisecond)
					if !c.running[owner].byHeartbeats(dead.node) {
						t.Errorf("it was not heartbeats by which %s noticed the death of %s", owner, dead.node)
					}
					c.after(time.Second + time.Duration(random.IntN(20000))*time.Millisecond)
					if random.IntN(2) == 0 {
						dead.cancel()
						<-dead.ended
						c.gossip.setCut(dead.node, false)
						c.start(dead.node)
					} else {
						c.powerOn(dead)
					}
					c.after(time.Duration(1000+random.IntN(5000)) * time.Millisecond)
					c.expectOwners(vip, owner)
				}
			})
		})
	}
}

// TestNoDeathWaitsForTheGossipThoughThoseWhoTakeOverHaveNotRunForAWhile has survivors pause around the death of the owner.
func TestNoDeathWaitsForTheGossipThoughThoseWhoTakeOverHaveNotRunForAWhile(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 17))
			names := nodesNamed(2 + random.IntN(4))
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.settle(names)
				pause := time.Duration(random.IntN(200)) * time.Millisecond
				first := random.IntN(2) == 0
				if !first {
					c.powerOff(c.running["n1"])
					c.after(pause)
				}
				for _, name := range names[1:] {
					if name == "n2" || random.IntN(2) == 0 {
						c.running[name].wakeUp(300 * time.Millisecond)
					}
				}
				if first {
					c.after(pause)
					c.powerOff(c.running["n1"])
				}
				// A pause is noticed 50 ms later at most. The gossip would take 480 ms.
				owner := c.awaitTakeover("n1", 50*time.Millisecond+silentAfter+90*time.Millisecond+20*time.Millisecond)
				for range 50 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owner)
				}
			})
		})
	}
}
