package announce

import (
	"net/netip"
	"testing"
	"time"
)

// TestNodesThatHaveNoAddressAndHearEachOtherOnTheNetworkAgreeWhoTakesOver has the gossip of a node blocked while the API is away. Nobody has asked for
// it, nor it for the others, as none of them has an address.
func TestNodesThatHaveNoAddressAndHearEachOtherOnTheNetworkAgreeWhoTakesOver(t *testing.T) {
	for _, blocked := range []string{"n2", "n3", "n4"} {
		t.Run(blocked, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2", "n3", "n4"}, func(t *testing.T, c *cluster) {
				n1, _ := c.both()
				others := []*running{c.start("n3"), c.start("n4"), c.running["n2"]}
				c.after(time.Minute)
				c.expectOwners(vip, "n1")
				for _, r := range others {
					r.connection.setReachable(false)
				}
				c.gossip.setCut(blocked, true)
				c.after(time.Second)
				c.powerOff(n1)
				c.after(time.Second)
				before := c.lan.owners(netip.MustParseAddr(vip))
				if len(before) != 1 {
					t.Errorf("%s answer", before)
				}
				c.after(time.Minute)
				c.expectOwners(vip, before...)
				c.gossip.setCut(blocked, false)
				c.after(time.Second)
				c.expectOwners(vip, before...)
			})
		})
	}
}
