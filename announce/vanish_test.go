package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

func TestAnnouncersThatAreDeletedMoveNothing(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		c.both()
		c.start("n3")
		c.after(time.Minute)
		var ips []netip.Addr
		for i := range 12 {
			ip := fmt.Sprintf("192.168.10.%d", 120+i)
			c.service(fmt.Sprintf("app-%d", i), ip)
			ips = append(ips, addr(ip))
		}
		c.after(time.Minute)
		before := map[netip.Addr][]string{}
		for _, ip := range ips {
			if before[ip] = c.lan.owners(ip); len(before[ip]) != 1 {
				t.Fatalf("%v answer for %s", before[ip], ip)
			}
		}
		c.journal.take()
		c.api.deleteAnnouncers()
		c.expectNothingMoves(before)
		c.after(time.Minute)
		for node, r := range c.running {
			a := c.api.announcer(node)
			if a == nil || len(a.Status.Layer2.Addresses) == 0 {
				t.Fatalf("%s has not recorded again what it has", node)
			}
			if len(r.others.expected) != 3 {
				t.Errorf("%s expects %v", node, r.others.expected)
			}
		}
		// What they have recorded counts when one dies.
		c.powerOff(c.running["n3"])
		c.after(time.Minute)
		for _, ip := range ips {
			if now := c.lan.owners(ip); len(now) != 1 || before[ip][0] != "n3" && now[0] != before[ip][0] {
				t.Errorf("%v answer for %s, before %v", now, ip, before[ip])
			}
		}
	})
}

func TestTheAnnouncerOfANodeThatIsGoneIsForgotten(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		n1 := c.running["n1"]
		c.powerOff(n2)
		c.after(time.Minute)
		c.api.mu.Lock()
		delete(c.api.announcers, "n2")
		c.api.mu.Unlock()
		c.api.set(func(v *plan.View) { v.SetAnnouncer("n2", nil) })
		c.after(time.Minute)
		if len(n1.others.expected) != 1 {
			t.Errorf("n1 expects %v", n1.others.expected)
		}
	})
}

func TestAnnouncersThatAreRestoredFromACopyMoveNothing(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		c.both()
		c.start("n3")
		c.after(time.Minute)
		var ips []netip.Addr
		add := func(name string, number int) {
			ip := fmt.Sprintf("192.168.10.%d", number)
			c.service(name, ip)
			ips = append(ips, addr(ip))
		}
		for i := range 9 {
			add(fmt.Sprintf("app-%d", i), 120+i)
		}
		c.after(time.Minute)
		of := c.api.copy()
		// In the future that is lost, what n3 had moves to the others, n3 comes back and gets others.
		if err := c.running["n3"].stop(); err != nil {
			t.Fatal(err)
		}
		c.after(2 * time.Minute)
		c.start("n3")
		c.after(time.Minute)
		for i := range 9 {
			add(fmt.Sprintf("later-%d", i), 140+i)
		}
		c.after(time.Minute)
		before := map[netip.Addr][]string{}
		for _, ip := range ips {
			if before[ip] = c.lan.owners(ip); len(before[ip]) != 1 {
				t.Fatalf("%v answer for %s", before[ip], ip)
			}
		}
		recorded := map[string]string{}
		for node := range c.running {
			recorded[node] = describe(c.api.announcer(node))
		}
		c.journal.take()
		c.api.restore(of)
		c.expectNothingMoves(before)
		c.after(time.Minute)
		for node := range c.running {
			if now := describe(c.api.announcer(node)); now != recorded[node] {
				t.Errorf("%s has recorded %s, before %s", node, now, recorded[node])
			}
		}
	})
}

// expectNothingMoves checks for two seconds that the same nodes as before answer for addresses, and that nobody speaks of a move.
func (c *cluster) expectNothingMoves(before map[netip.Addr][]string) {
	c.t.Helper()
	for range 100 {
		c.after(20 * time.Millisecond)
		for ip, owners := range before {
			if now := c.lan.owners(ip); !slices.Equal(now, owners) {
				c.t.Fatalf("%v answer for %s, before %v", now, ip, owners)
			}
		}
	}
	for _, line := range c.journal.take() {
		if strings.Contains(line, "answers for") || strings.Contains(line, "moved") || strings.Contains(line, "conflict") {
			c.t.Error(line)
		}
	}
}
