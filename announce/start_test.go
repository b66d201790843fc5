package announce

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

const vip = "192.168.10.100"

func TestNothingIsAnnouncedBeforeEveryStepOfTheStart(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.api.set(func(v *plan.View) { v.SetNode("n1", nil) })
		c.api.setKey(nil)
		n1 := c.prepare("n1")
		n1.connection.createFailures = 3
		n1.run(t.Context())
		expect := func(when string, takes time.Duration, lines ...string) {
			t.Helper()
			c.after(takes)
			c.expectInOrder(lines...)
			if n1.Ready() {
				t.Errorf("%s: it is ready", when)
			}
			c.expectOwners(vip)
		}
		expect("without a Node", time.Minute, "n1 has the state")
		c.api.setNode(nodeObject("n1", "10.0.0.256"))
		expect("with an address that is none", time.Minute, "n1 cannot create its Announcer", "n1 cannot create its Announcer", "n1 cannot create its Announcer", "n1 creates its Announcer")
		if host := c.api.announcer("n1").Status.Host; !slices.Equal(host.NodeIPs, []string{addressOf("n1").String()}) {
			t.Errorf("it does not say by which address the node can be known: %+v", host)
		}
		c.api.setNode(nodeObject("n1", addressOf("n1").String()))
		expect("without a key", time.Minute)
		c.api.setAnnouncer(&v1alpha1.Announcer{}, "n2")
		c.api.setKey(make([]byte, 32))
		expect("before it has met n2", joinTimeout-time.Millisecond, "n1 joins")
		c.after(2 * roundTrip)
		if !n1.Ready() {
			t.Error("it is not ready once it has tried to meet n2")
		}
		c.after(warmUp - time.Second)
		c.expectOwners(vip) // others may start now as well
		c.after(2 * time.Second)
		c.expectOwners(vip, "n1")
		c.expectInOrder("n1 records Running", "n1 answers for "+vip)
	})
}

func TestANodeThatHasMetAllOthersDoesNotWait(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.start("n1")
		c.after(warmUp / 2)
		c.expectOwners(vip, "n1")
	})
}

func TestANodeThatMayNotOpenPacketSocketsSaysSoAndClaimsNothing(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		n1 := c.prepare("n1")
		n1.station.forbidden = errors.New("open a packet socket: operation not permitted")
		n1.run(t.Context())
		c.start("n2")
		c.after(time.Minute)
		c.expectReady("n1", "False NotPermitted: The announcer may not answer for addresses, and announces none on layer 2: "+
			"open a packet socket: operation not permitted. Does its container have the capability NET_RAW?")
		if n1.Ready() {
			t.Error("it is ready")
		}
		c.expectOwners(vip, "n2")
	})
}

func TestAKeyThatCannotBeUsedIsVisibleAndAnotherOneAwaited(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		if err := c.start("n1").startedAndStopped(c); err != nil {
			t.Fatal(err)
		}
		claims := c.api.announcer("n1").Status.Layer2

		c.api.setKey([]byte("short"))
		n1 := c.start("n1")
		c.after(time.Minute)
		const waits = "False GossipKeyInvalid: The announcer waits for a key of the gossip that it can use, and announces nothing: " +
			"the Secret clarion-system/clarion-gossip has a key of 5 bytes, not 16, 24 or 32: delete the Secret to have another one made."
		c.expectReady("n1", waits)
		if n1.Ready() {
			t.Error("it is ready")
		}
		if got := c.api.announcer("n1").Status.Layer2; len(got.Addresses) != 1 || got.Addresses[0].Epoch != claims.Addresses[0].Epoch {
			t.Errorf("the claims are %+v, before they were %+v", got, claims)
		}
		c.api.setKey(nil)
		c.after(time.Minute)
		c.expectOwners(vip)
		c.api.setKey(make([]byte, 16))
		c.after(time.Minute)
		c.expectReady("n1", "True Running")
		c.expectOwners(vip, "n1")
	})
}

func TestAnAnnouncerThatIsNewSaysThatTheKeyCannotBeUsed(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.api.setKey([]byte{})
		c.start("n1")
		c.after(time.Second)
		c.expectReady("n1", "False GossipKeyInvalid")
	})
}

func TestAnAnnouncerGoesOnWithTheLastKeyThatItCouldUse(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.start("n1")
		c.start("n2")
		c.after(time.Minute)
		owner := c.lan.owners(addr(vip))[0]
		c.api.setKey([]byte("short"))
		c.after(time.Minute)
		c.expectOwners(vip, owner)
		for _, node := range []string{"n1", "n2"} {
			c.expectReady(node, "True GossipKeyInvalid: The announcer announces what falls to its node. It gossips with the key that it had before")
		}
		c.api.setKey([]byte("a key of 24 bytes, which"))
		c.after(time.Minute)
		c.expectReady("n1", "True Running: The announcer announces what falls to its node.")
		if alive := c.running["n1"].others.members.Alive(); len(alive) != 2 {
			t.Errorf("with the new key n1 sees %s", alive)
		}
	})
}

func TestAChangeOfTheKeyWhileTheOthersAreMetCounts(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.api.setAnnouncer(&v1alpha1.Announcer{}, "n2")
		n1 := c.start("n1")
		c.after(joinTimeout / 2)
		c.api.setKey([]byte("a key of 24 bytes, which"))
		c.after(time.Second)
		if key := n1.others.members.(*member).key; len(key) != 24 {
			t.Errorf("it uses a key of %d bytes", len(key))
		}
	})
}

func TestAnAnnouncerThatIsStoppedBeforeItIsReadyWritesNoFarewell(t *testing.T) {
	for name, hold := range map[string]func(c *cluster, n1 *running){
		"the state is not there": func(c *cluster, n1 *running) { n1.connection.listDelay = time.Hour },
		"the node has no address": func(c *cluster, n1 *running) {
			c.api.setNode(nodeObject("n1", ""))
		},
		"the Announcer cannot be created": func(c *cluster, n1 *running) { n1.connection.createFailures = 1000 },
		"there is no key":                 func(c *cluster, n1 *running) { c.api.setKey(nil) },
		"the others were not met":         func(c *cluster, n1 *running) { c.api.setAnnouncer(&v1alpha1.Announcer{}, "n2") },
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
				n1 := c.prepare("n1")
				hold(c, n1)
				n1.run(t.Context())
				c.after(joinTimeout / 2)
				if err := n1.stop(); err != nil {
					t.Errorf("it ends with %v", err)
				}
				for _, line := range c.journal.take() {
					if strings.Contains(line, "records") && !strings.Contains(line, "records no condition") {
						t.Error(line)
					}
				}
			})
		})
	}
}

func TestTheEndOfAPartIsTheEndOfTheAnnouncer(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func(r *running){
		"watch":     func(r *running) { r.connection.failed <- broken },
		"responder": func(r *running) { r.station.failed <- broken },
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
				n1 := c.start("n1")
				c.after(time.Minute)
				if !n1.Ready() {
					t.Error("it is not ready")
				}
				c.journal.take()
				fail(n1)
				<-n1.ended
				if !errors.Is(n1.err, broken) {
					t.Errorf("it ends with %v", n1.err)
				}
				if n1.Ready() {
					t.Error("it is ready still")
				}
				c.expectReady("n1", "True Running") // it was not stopped on purpose
				c.expectInOrder("n1 has left")
			})
		})
	}
}

func TestAnotherAddressOfTheNodeIsAnError(t *testing.T) {
	for name, before := range map[string]time.Duration{"while it runs": time.Minute, "while it meets the others": joinTimeout / 2} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
				c.api.setAnnouncer(&v1alpha1.Announcer{}, "n2")
				n1 := c.start("n1")
				c.after(before)
				c.api.setNode(nodeObject("n1", "192.168.10.99"))
				<-n1.ended
				if want := "the address of node n1 has changed from 192.168.10.11 to 192.168.10.99: start again"; n1.err == nil || n1.err.Error() != want {
					t.Errorf("it ends with %v, want %s", n1.err, want)
				}
				c.expectInOrder("n1 has left")
			})
		})
	}
}
