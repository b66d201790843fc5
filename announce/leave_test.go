package announce

import (
	"testing"
	"time"
)

// startedAndStopped has an announcer run for a minute.
func (r *running) startedAndStopped(c *cluster) error {
	c.after(time.Minute)
	return r.stop()
}

func TestAnAnnouncerAnswersUntilItHasLeftAndItsClaimsStay(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		n1 := c.start("n1")
		c.after(time.Minute)
		c.journal.take()
		if err := n1.stop(); err != nil {
			t.Errorf("it ends with %v", err)
		}
		c.expectInOrder("n1 has left", "n1 records "+vip+" epoch 1, Stopped", "n1 goes silent")
		if n1.Ready() {
			t.Error("it is ready still")
		}
	})
}

func TestAnAnnouncerThatCannotSayThatItStopsEndsNevertheless(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		n1 := c.start("n1")
		c.after(time.Minute)
		n1.connection.setReachable(false)
		start := time.Now()
		if err := n1.stop(); err != nil {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		c.expectReady("n1", "True Running")
	})
}

func TestARestartMovesNothingAndAnotherNodeProxiesMeanwhile(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		n1 := c.start("n1")
		c.after(time.Minute)
		c.start("n2")
		c.after(time.Minute)
		c.journal.take()
		start := time.Now()
		if err := n1.stop(); err != nil {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(start); took < farewell {
			t.Errorf("it ends after %s, though n2 may be slow to proxy", took)
		}
		c.after(5 * time.Second)
		c.expectOwners(vip)
		c.expectInOrder("n2 proxies for "+vip, "n1 records "+vip+" epoch 1, Stopped", "n1 goes silent")
		if got := c.metric("n2", "clarion_announcer_layer2_proxied_addresses"); got != 1 {
			t.Errorf("n2 counts %v addresses that it proxies for", got)
		}
		c.start("n1")
		c.after(5 * time.Second)
		c.expectOwners(vip, "n1")
		c.expectInOrder("n1 answers for "+vip, "n1 records "+vip+" epoch 1, Running", "n2 proxies for nothing")
	})
}

func TestANodeWhoseAnnouncerDoesNotComeBackLosesItsAddresses(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		n1 := c.start("n1")
		c.after(time.Minute)
		c.start("n2")
		c.after(time.Minute)
		if err := n1.stop(); err != nil {
			t.Errorf("it ends with %v", err)
		}
		c.after(50 * time.Second)
		c.expectOwners(vip)
		c.after(20 * time.Second)
		c.expectOwners(vip, "n2")
	})
}
