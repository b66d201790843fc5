package announce

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// flood has hosts that are no nodes claim addresses for a while: 200 packets a second, each with
// another hardware address.
func (c *cluster) flood(d time.Duration, addresses ...string) {
	for n := range int(d / (5 * time.Millisecond)) {
		mac := net.HardwareAddr{2, 1, 0, 0, byte(n >> 8), byte(n)}
		c.lan.hostAnnounces(addr(addresses[n%len(addresses)]), mac)
		c.after(5 * time.Millisecond)
	}
}

// count returns how many lines contain a text.
func count(lines []string, text string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestAFloodOfClaimsIsOneConflictAndIsReportedAtABoundedRate(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		n1.logged.take()
		c.flood(20*time.Second, vip)
		c.after(time.Minute)
		did, logged := c.journal.take(), n1.logged.take()
		if got := count(did, "n1 tells web"); got != 1 {
			t.Errorf("%d events, want 1", got)
		}
		if got := count(did, "n1 records"); got > 4 {
			t.Errorf("%d writes:\n%s", got, strings.Join(did, "\n"))
		}
		if len(logged) > 4 {
			t.Errorf("%d lines logged, among them\n%s", len(logged), strings.Join(logged[:4], "\n"))
		}
		conflicts := c.api.announcer("n1").Status.Layer2.Conflicts
		if len(conflicts) != 1 || conflicts[0].MAC != "02:01:00:00:00:00" || conflicts[0].LastMAC != "02:01:00:00:0f:9f" {
			t.Errorf("recorded %+v, want the first and the last of 4000 hardware addresses", conflicts)
		}
		if got := c.metric("n1", "clarion_announcer_layer2_conflicts_total"); got != 4000 {
			t.Errorf("%v packets counted, want 4000", got)
		}
		c.expectOwners(vip, "n1")
	})
}

func TestWhoeverFloodsSeveralAddressesIsOneConflictForEach(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		var addresses []string
		for n := range 10 {
			ip := fmt.Sprintf("192.168.10.%d", 100+n)
			addresses = append(addresses, ip)
			c.service(fmt.Sprintf("web%d", n), ip)
		}
		n1 := c.start("n1")
		c.after(time.Minute)
		c.journal.take()
		n1.logged.take()
		c.flood(20*time.Second, addresses...)
		did, logged := c.journal.take(), n1.logged.take()
		if got := count(did, "n1 tells"); got != len(addresses) {
			t.Errorf("%d events for %d addresses", got, len(addresses))
		}
		if got := count(did, "n1 records"); got > 10 {
			t.Errorf("%d writes", got)
		}
		if len(logged) > 2*len(addresses) {
			t.Errorf("%d lines logged, among them\n%s", len(logged), strings.Join(logged[:4], "\n"))
		}
		if got := len(c.api.announcer("n1").Status.Layer2.Conflicts); got != len(addresses) {
			t.Errorf("%d conflicts recorded", got)
		}
		c.after(10 * time.Minute)
		if got := len(n1.lan.contentions); got > len(addresses) {
			t.Errorf("%d addresses remembered", got)
		}
	})
}

func TestAFloodDoesNotHideTheNextOwner(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.both()
		c.flood(time.Second, vip)
		c.api.setNode(drained("n1"))
		c.flood(2*time.Second, vip)
		c.expectOwners(vip, "n2")
		c.expectInOrder("n2 answers for "+vip, "n1 quiesces "+vip, "n1 answers for nothing")
	})
}
