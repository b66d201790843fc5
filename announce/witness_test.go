package announce

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestFewAskWhatHasBecomeOfANodeAndNothingTakesLonger(t *testing.T) {
	for _, size := range []int{3, 10, 30} {
		for what, tt := range map[string]struct {
			goes func(c *cluster, r *running)
			// took is how long the takeover takes, 0 if there is none; questions are the most of an asker.
			took      time.Duration
			questions int
		}{
			"power": {func(c *cluster, r *running) { c.powerOff(r) }, deathTimeout + 2*90*time.Millisecond, 100 + 12 + 2*size},
			"the announcer is killed": {func(c *cluster, r *running) {
				c.lan.mu.Lock()
				r.station.answering = false
				c.lan.mu.Unlock()
				c.gossip.setCut(r.node, true)
			}, 0, 80 + size},
		} {
			t.Run(fmt.Sprint(what, size), func(t *testing.T) {
				names := nodesNamed(size)
				inCluster(t, names, func(t *testing.T, c *cluster) {
					c.all(names)
					c.lan.asked("n1")
					tt.goes(c, c.running["n1"])
					if tt.took > 0 {
						c.after(tt.took)
						if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
							t.Errorf("%s answer after %s", owners, tt.took)
						}
					}
					c.after(50 * time.Second)
					questions, askers := c.lan.asked("n1")
					t.Logf("%d nodes: %d questions by %d", size, questions, askers)
					if askers > 3 || questions > askers*tt.questions {
						t.Errorf("%d nodes have asked %d questions, want at most 3 with %d each", askers, questions, tt.questions)
					}
				})
			})
		}
	}
}

// next are who takes the address over if its owner dies, who does if that one dies too, and so on: found out in a cluster of its own.
func next(t *testing.T, names []string, count int) (next []string) {
	for range count {
		inCluster(t, names, func(t *testing.T, c *cluster) {
			c.all(names)
			c.powerOff(c.running["n1"])
			for _, name := range next {
				c.powerOff(c.running[name])
			}
			c.after(5 * time.Second)
			owners := c.lan.owners(addr(vip))
			if len(owners) != 1 {
				t.Fatalf("%s have it after n1 and %s have died", owners, next)
			}
			next = append(next, owners[0])
		})
	}
	return next
}

func TestIfThoseWhoWouldTakeAnAddressOverDieWithItsOwnerTheNextOneDoes(t *testing.T) {
	names := nodesNamed(12)
	order := next(t, names, 5)
	for dying := range order {
		for _, between := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond} {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.all(names)
				c.powerOff(c.running["n1"])
				for _, name := range order[:dying] {
					c.after(between)
					c.powerOff(c.running[name])
				}
				c.after(deathTimeout + 200*time.Millisecond) // the last of them is noticed then, and asking takes 180 ms
				c.expectOwners(vip, order[dying])
				c.after(time.Minute)
				c.expectOwners(vip, order[dying])
			})
		}
	}
}

func TestAPartitionMovesToTheMajorityAloneHoweverFewAsk(t *testing.T) {
	names := nodesNamed(9)
	for name, minority := range map[string][]string{
		"the owner with others": {"n1", "n4", "n5", "n6"},
		"the others":            {"n2", "n3", "n8", "n9"},
		"the owner alone":       {"n1"},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.all(names)
				for _, name := range minority { // no LAN, no API: as behind a switch that has lost its uplink
					c.powerOff(c.running[name])
				}
				c.after(deathTimeout + 200*time.Millisecond)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 || slices.Contains(minority, owners[0]) {
					t.Errorf("%s have it, of which %s are cut off", owners, minority)
				}
				c.after(10 * time.Minute)
				for _, name := range minority {
					c.powerOn(c.running[name])
				}
				for range 100 {
					c.after(50 * time.Millisecond)
					if is := c.lan.owners(addr(vip)); len(is) > 1 {
						t.Fatalf("%s answer", is)
					}
				}
				c.after(time.Minute)
				c.expectOwners(vip, owners...)
			})
		})
	}
}

func TestAGossipThatIsBlockedForOneMovesNothingHoweverFewAsk(t *testing.T) {
	names := nodesNamed(9)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.all(names)
		c.gossip.setCut("n1", true)
		for range 60 {
			c.after(10 * time.Second)
			c.expectOwners(vip, "n1")
		}
		c.service("dns", "192.168.10.101") // somebody takes it
		c.after(5 * time.Second)
		if owners := c.lan.owners(addr("192.168.10.101")); len(owners) != 1 {
			t.Errorf("%s have it", owners)
		}
		c.expectOwners(vip, "n1")
	})
}
