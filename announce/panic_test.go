package announce

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

const otherVIP = "192.168.10.101"

// twoServices starts two announcers, of which the first has both addresses.
func (c *cluster) twoServices() (n1, n2 *running) {
	c.t.Helper()
	c.service("other", otherVIP)
	n1, n2 = c.both()
	c.expectOwners(otherVIP, "n1")
	return n1, n2
}

func TestAPanicOnOneServiceTakesNothingFromTheOthersAndIsTold(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.twoServices()
		heal := guard.Plant(func(kind string, object any) bool { return kind == "address" && object == addr(vip) })
		defer heal()
		c.api.set(func(v *plan.View) { v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, nil) })
		c.service("web", vip)
		c.service("third", "192.168.10.102")
		c.after(time.Minute)
		c.expectOwners(vip, "n1")
		c.expectOwners(otherVIP, "n1")
		c.expectOwners("192.168.10.102", "n2")
		all := strings.Join(c.journal.take(), "\n")
		if !strings.Contains(all, "n1 tells web that Clarion failed on "+vip) {
			t.Errorf("web is not told:\n%s", all)
		}
		if strings.Contains(all, "tells other that Clarion failed") {
			t.Errorf("other is told:\n%s", all)
		}
		ready := c.api.announcer("n1").Status.Conditions
		if !strings.Contains(ready[0].Message+ready[len(ready)-1].Message, vip) {
			t.Errorf("the Announcer says %+v", ready)
		}
		heal()
		c.service("web", vip)
		c.after(time.Minute)
		c.expectOwners(vip, "n1")
		for _, condition := range c.api.announcer("n1").Status.Conditions {
			if strings.Contains(condition.Message, "fault") {
				t.Errorf("after the fault, the Announcer says %q", condition.Message)
			}
		}
	})
}

func TestAPanicOfAWholeTurnLeavesEverythingAsItIs(t *testing.T) {
	for _, kind := range []string{"plan", "loop"} {
		inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
			n1, _ := c.twoServices()
			heal := guard.Plant(func(k string, _ any) bool { return k == kind })
			defer heal()
			c.service("third", "192.168.10.102")
			c.after(time.Minute)
			c.expectOwners(vip, "n1")
			c.expectOwners(otherVIP, "n1")
			if err := n1.Healthy(); err != nil {
				t.Errorf("to be started anew, although what is announced would be less: %v", err)
			}
			heal()
			c.after(time.Minute)
			c.expectOwners(vip, "n1")
			c.expectOwners(otherVIP, "n1")
			if got := c.lan.owners(addr("192.168.10.102")); len(got) != 1 {
				t.Errorf("%s: what has come meanwhile is announced by %s", kind, got)
			}
		})
	}
}

func TestPanicsAreCounted(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute)
		defer guard.Plant(func(kind string, object any) bool { return kind == "address" && object == addr(vip) })()
		c.api.set(func(v *plan.View) { v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, nil) })
		c.service("web", vip)
		c.after(time.Second)
		if got := c.metric("n1", "clarion_announcer_panics_total"); got != 1 {
			t.Errorf("%v panics are counted", got)
		}
	})
}
