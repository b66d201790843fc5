package announce

import (
	"strings"
	"testing"
	"time"
)

// withTwoLinks starts nodes whose own addresses are on an interface of their own. The first has the address of a Service.
func (c *cluster) withTwoLinks(names []string) {
	c.t.Helper()
	c.service("web", vip)
	for _, name := range names {
		r := c.prepare(name)
		r.station.twoLinks = true
		r.run(c.t.Context())
		c.after(time.Minute)
	}
	c.expectOwners(vip, names[0])
	c.journal.take()
}

// setLink plugs or pulls the cable of the interface on which a node announces; gossip and heartbeats go by the other one.
func (r *running) setLink(up bool) {
	r.station.lan.mu.Lock()
	defer r.station.lan.mu.Unlock()
	r.station.linkDown = !up
	r.station.changed.Notify()
}

func TestALinkThatGoesDownMovesItsAddressesAtOnce(t *testing.T) {
	names := nodesNamed(4)
	for name, apiAway := range map[string]bool{"with the API": false, "without the API": true} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.withTwoLinks(names)
				for _, r := range c.running {
					r.connection.setReachable(!apiAway)
				}
				n1 := c.running["n1"]
				n1.setLink(false)
				c.after(10 * time.Millisecond)
				owners := c.lan.owners(addr(vip))
				if len(owners) != 1 || owners[0] == "n1" {
					t.Fatalf("%s answer", owners)
				}
				for range 100 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owners...)
				}
				n1.setLink(true)
				for _, r := range c.running {
					r.connection.setReachable(true)
				}
				for range 100 {
					c.after(100 * time.Millisecond)
					c.expectOwners(vip, owners...)
				}
			})
		})
	}
}

func TestALinkThatIsDownForAMomentAloneLeavesOneOwner(t *testing.T) {
	names := nodesNamed(3)
	for _, down := range []time.Duration{0, 1, 20, 200, 2900, 3100} {
		inCluster(t, names, func(t *testing.T, c *cluster) {
			c.withTwoLinks(names)
			n1 := c.running["n1"]
			n1.setLink(false)
			c.after(down * time.Millisecond)
			n1.setLink(true)
			c.after(time.Second)
			if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
				t.Errorf("down for %d ms: %s answer", down, owners)
			}
			c.after(time.Minute)
			if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
				t.Errorf("a minute after it was down for %d ms, %s answer", down, owners)
			}
		})
	}
}

func TestALinkThatCarriesNoAddressMovesNone(t *testing.T) {
	names := nodesNamed(3)
	inCluster(t, names, func(t *testing.T, c *cluster) {
		c.withTwoLinks(names)
		n1 := c.running["n1"]
		c.lan.mu.Lock()
		n1.station.secondDown = true
		n1.station.changed.Notify()
		c.lan.mu.Unlock()
		for range 50 {
			c.after(100 * time.Millisecond)
			c.expectOwners(vip, "n1")
		}
		for _, line := range c.journal.take() {
			if strings.Contains(line, "answers for") {
				t.Error(line)
			}
		}
	})
}
