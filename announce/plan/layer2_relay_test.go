package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

const vip6 = "fd00:10::222"

// dualWeb is web with an address of each family, on nodes that have addresses of their own: n1
// those that end in 11.
func dualWeb(t *testing.T) *lan {
	l := newLAN(t)
	both := eth0
	both.Prefixes = append(both.Prefixes[:1:1], netip.MustParsePrefix("fd00:10::/64"))
	for i, name := range []string{"n1", "n2", "n3"} {
		l.setNode(withAddresses(name, i))
		l.api[name] = &v1alpha1.Announcer{}
		l.api[name].Name = name
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		l.boot(name, both)
	}
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250", "fd00:10::200-fd00:10::250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	l.setService(serviceObject("web", vip, vip6))
	l.setEndpoints(endpointsOn("web", "n1", "n2", "n3"))
	l.setEndpoints(endpoints6On("web", "n1", "n2", "n3"))
	l.settle()
	return l
}

// drain has the owner of the addresses drained, and returns it with the next one.
func (l *lan) drain() (previous, owner string) {
	previous = l.owner(vip)
	l.setNode(withAddresses(previous, index(previous), drained))
	l.settle()
	owner = l.owner(vip)
	if owner == previous || l.owner(vip6) != owner {
		l.t.Fatalf("%s has the addresses, %s was drained", owner, previous)
	}
	return previous, owner
}

// relaysTo is what a node relays to another one, if it relays all.
func relaysTo(name string) map[netip.Addr]Relay {
	return map[netip.Addr]Relay{
		addr(vip):  {To: addr(fmt.Sprintf("192.168.10.1%d", index(name)+1)), Interface: "eth0"},
		addr(vip6): {To: addr(fmt.Sprintf("fd00:10::1%d", index(name)+1)), Interface: "eth0"},
	}
}

func (l *lan) expectRelays(name string, want map[netip.Addr]Relay) {
	l.t.Helper()
	if got := l.plan(name).Relays; !maps.Equal(got, want) {
		l.t.Errorf("%s relays %v, want %v", name, got, want)
	}
}

func TestConnectionsAreRelayedToTheNodeThatTheirAddressCameFrom(t *testing.T) {
	for what, test := range map[string]struct {
		move   func(l *lan, previous string)
		relays bool
	}{
		"it is drained":         {func(l *lan, previous string) { l.setNode(withAddresses(previous, index(previous), drained)) }, true},
		"it is excluded":        {func(l *lan, previous string) { l.setNode(withAddresses(previous, index(previous), excluded)) }, true},
		"its kubelet is silent": {func(l *lan, previous string) { l.setNode(withAddresses(previous, index(previous), notReady)) }, true},
		"it dies":               {func(l *lan, previous string) { l.kill(previous) }, false},
		"its link is cut":       {func(l *lan, previous string) { l.nodes[previous].interfaces = nil }, false},
	} {
		t.Run(what, func(t *testing.T) {
			l := dualWeb(t)
			previous := l.owner(vip)
			l.expectRelays(previous, nil)
			test.move(l, previous)
			l.settle()
			owner := l.owner(vip)
			if owner == previous {
				t.Fatalf("%s still has the address", previous)
			}
			var want map[netip.Addr]Relay
			if test.relays {
				want = relaysTo(previous)
			}
			l.expectRelays(owner, want)
			for name := range l.nodes {
				if name != owner {
					l.expectRelays(name, nil)
				}
			}
		})
	}
}

func TestAnAddressThatIsHandedOverIsRelayedByWhoGetsIt(t *testing.T) {
	l := dualWeb(t)
	previous := l.owner(vip)
	// Another Service that only the first one's owner can have makes that one carry more than its
	// share.
	s := local(serviceObject("more", "192.168.10.223"))
	l.setService(s)
	l.setEndpoints(endpointsOn("more", previous))
	l.settle()
	for name := range l.nodes {
		l.annotate(name, v1alpha1.AnnotationRebalance, "now")
	}
	l.settle()
	if owner := l.owner(vip); owner == previous {
		t.Fatalf("%s still has the address", previous)
	} else {
		l.expectRelays(owner, relaysTo(previous))
	}
}

func TestRelayingEndsAWhileAfterThePreviousOwner(t *testing.T) {
	l := dualWeb(t)
	previous, owner := l.drain()
	object := l.nodes[previous]
	l.kill(previous)
	l.settle()
	l.expectRelays(owner, relaysTo(previous)) // only its announcer may be away
	if wake := l.plan(owner).Wake; !wake.Equal(l.now.Add(previousOwnerGrace)) {
		t.Errorf("%s plans again at %s, want in %s", owner, wake, previousOwnerGrace)
	}
	l.now = l.now.Add(previousOwnerGrace)
	l.settle()
	l.expectRelays(owner, nil)

	// It comes back without its connections.
	l.boot(previous, object.interfaces...)
	l.settle()
	l.expectRelays(owner, nil)
}

func TestAPreviousOwnerThatRestartsItsAnnouncerIsRelayedTo(t *testing.T) {
	l := dualWeb(t)
	previous, owner := l.drain()
	object := l.nodes[previous]
	l.kill(previous)
	l.settle()
	l.now = l.now.Add(previousOwnerGrace / 2)
	l.boot(previous, object.interfaces...)
	l.settle()
	l.now = l.now.Add(previousOwnerGrace)
	l.settle()
	l.expectRelays(owner, relaysTo(previous))
}

func TestEachOwnerRelaysToTheOneBeforeIt(t *testing.T) {
	l := dualWeb(t)
	first, second := l.drain()
	_, third := l.drain()
	l.expectRelays(third, relaysTo(second))
	l.expectRelays(second, relaysTo(first))
	l.expectRelays(first, nil)

	// The middle one goes: what it knew is lost, not what began before.
	l.kill(second)
	l.settle()
	l.now = l.now.Add(previousOwnerGrace)
	l.settle()
	l.expectRelays(third, relaysTo(first))
}

// Back where it was, an address has its connections there, on the last owner, and on the one before.
func TestAnOwnerIsNotRelayedToFromWhereItsAddressWent(t *testing.T) {
	l := dualWeb(t)
	first, second := l.drain()
	_, third := l.drain()
	l.setNode(withAddresses(second, index(second)))
	l.setNode(withAddresses(third, index(third), drained))
	l.settle()
	if owner := l.owner(vip); owner != second {
		t.Fatalf("%s has the address", owner)
	}
	l.expectRelays(second, relaysTo(third))
	l.expectRelays(third, relaysTo(first))
	l.expectRelays(first, nil)
}

// Another load balancer on the nodes has the address, and Clarion takes the Service up.
func TestConnectionsOfAnAddressThatANodeServesAlreadyAreRelayedToIt(t *testing.T) {
	for what, tt := range map[string]struct {
		prepare func(l *lan, serving string)
		relays  bool
	}{
		"it serves":                   {func(*lan, string) {}, true},
		"it is drained":               {func(l *lan, n string) { l.setNode(withAddresses(n, index(n), drained)) }, true},
		"it is excluded by label":     {func(l *lan, n string) { l.setNode(withAddresses(n, index(n), excluded)) }, true},
		"it is no node of this world": {func(l *lan, n string) { l.set(func(v *View) { v.SetNode(n, nil) }); l.kill(n) }, false},
	} {
		for _, serving := range []string{"n1", "n2", "n3"} {
			t.Run(what+" "+serving, func(t *testing.T) {
				l := dualWeb(t)
				l.deleteService("web")
				l.settle()
				l.serving = map[string]string{vip: serving, vip6: serving}
				tt.prepare(l, serving)
				l.setService(serviceObject("web", vip, vip6))
				l.settle()
				owner := l.owner(vip)
				var want map[netip.Addr]Relay
				if tt.relays && owner != serving {
					want = relaysTo(serving)
				}
				l.expectRelays(owner, want)
				for _, claim := range l.api[owner].Status.Layer2.Addresses {
					if slices.Contains(claim.PreviousOwners, serving) != (want != nil) {
						t.Errorf("%s has the address, %s served it; the claim is %+v", owner, serving, claim)
					}
				}
			})
		}
	}
}

// The other load balancer goes on to announce from its node until it is stopped: clients go to and fro.
func TestWhoIsHeardToAnnounceAnAddressOfAnotherNodeRelaysToItForAWhile(t *testing.T) {
	l := dualWeb(t)
	l.deleteService("web")
	l.settle()
	l.serving = map[string]string{vip: "n1", vip6: "n1"}
	l.setNode(withAddresses("n1", index("n1"), drained))
	l.setService(serviceObject("web", vip, vip6))
	l.settle()
	owner := l.owner(vip)
	third := map[string]string{"n2": "n3", "n3": "n2"}[owner]
	tell := func(name string) {
		for _, ip := range []string{vip, vip6} {
			claim, _ := l.nodes[owner].planner.ClaimOn(addr(ip))
			l.nodes[name].planner.ObserveClaims(owner, []Takeover{claim}, l.now)
		}
	}
	l.expectRelays("n1", nil)
	for range 3 {
		tell("n1")
		tell(third)
		for range 2 {
			l.expectRelays("n1", relaysTo(owner))
			l.expectRelays(owner, relaysTo("n1"))
			l.expectRelays(third, nil) // no connection began there
			l.now = l.now.Add(heardPeriod * 2 / 5)
		}
	}
	if wake := l.plan("n1").Wake; wake.IsZero() || wake.Sub(l.now) > heardPeriod {
		t.Errorf("n1 plans again at %s", wake)
	}
	l.now = l.now.Add(heardPeriod)
	l.settle()
	l.expectRelays("n1", nil)
	l.expectRelays(owner, relaysTo("n1"))

	// It is told before the API shows that it served the address.
	recorded := l.api[owner]
	l.api[owner] = recorded.DeepCopy()
	for i := range l.api[owner].Status.Layer2.Addresses {
		l.api[owner].Status.Layer2.Addresses[i].PreviousOwners = nil
	}
	n1 := l.nodes["n1"]
	n1.view.SetAnnouncer(owner, l.api[owner])
	tell("n1")
	l.expectRelays("n1", nil)
	n1.view.SetAnnouncer(owner, recorded)
	l.expectRelays("n1", relaysTo(owner))
}

func TestAnAddressThatMovesOnHasItsConnectionsWhereAnotherLoadBalancerHadIt(t *testing.T) {
	l := dualWeb(t)
	l.deleteService("web")
	l.settle()
	l.serving = map[string]string{vip: "n1", vip6: "n1"}
	l.setNode(withAddresses("n1", index("n1"), drained))
	l.setService(serviceObject("web", vip, vip6))
	l.settle()
	second, third := l.drain()
	l.expectRelays(third, relaysTo(second))
	l.expectRelays(second, relaysTo("n1"))
}

// Between the moment in which a node takes its claim back and that in which it sees the next
// owner's, its connections go on.
func TestAPreviousOwnerRelaysBeforeTheNextOnesClaimIsRecorded(t *testing.T) {
	l := dualWeb(t)
	first, second := l.drain()
	l.setNode(withAddresses(second, index(second), drained))
	for done := false; !done; { // until it has released its claim
		for _, name := range []string{"n1", "n2", "n3"} {
			for _, m := range l.plan(name).Moves {
				if m.To == name {
					l.nodes[second].planner.ObserveAnnouncement(m.Address, name, l.now)
				}
			}
		}
		l.expectRelays(second, relaysTo(first))
		done = len(l.nodes[second].layer2) == 0
		l.now = l.now.Add(handoverOverlap)
	}
	l.record(second)
	l.expectRelays(second, relaysTo(first))
	l.settle()
	l.expectRelays(second, relaysTo(first))
	l.deleteService("web")
	l.settle()
	l.expectRelays(second, nil)
}

// A client that has just heard of one owner may not take back at once that another one is it.
func TestForAMomentTheLastPreviousOwnerRelaysToTheOwner(t *testing.T) {
	l := dualWeb(t)
	first, second := l.drain()
	l.setNode(withAddresses(second, index(second), drained))
	for slices.Contains(l.owners(vip), second) {
		l.planAll()
		l.recordAll()
		l.now = l.now.Add(handoverOverlap)
	}
	third := l.owner(vip)
	for range 2 {
		l.expectRelays(third, relaysTo(second))
		l.expectRelays(second, relaysTo(first))
		l.expectRelays(first, relaysTo(third))
		l.now = l.now.Add(noticePeriod / 4)
	}
	l.now = l.now.Add(noticePeriod)
	l.settle()
	l.expectRelays(third, relaysTo(second))
	l.expectRelays(second, relaysTo(first))
	l.expectRelays(first, nil)
}

func TestOnlyWhatIsOnTheSameNetworkIsRelayed(t *testing.T) {
	l := dualWeb(t)
	previous := l.owner(vip)
	node := withAddresses(previous, index(previous), drained)
	node.Status.Addresses = node.Status.Addresses[1:] // that is left of IPv4 is elsewhere
	l.setNode(node)
	l.settle()
	want := relaysTo(previous)
	delete(want, addr(vip))
	l.expectRelays(l.owner(vip), want)
}

func TestRestartedAnnouncersRelayWhatTheyDidBefore(t *testing.T) {
	l := dualWeb(t)
	first, second := l.drain()
	_, third := l.drain()
	for _, name := range []string{first, second, third} {
		l.boot(name, l.nodes[name].interfaces...)
		l.settle()
		l.expectRelays(third, relaysTo(second))
		l.expectRelays(second, relaysTo(first))
		l.expectRelays(first, nil)
	}
}
