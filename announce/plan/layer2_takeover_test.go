package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// crowd is a cluster of six nodes with a Service on each of so many addresses, at rest.
func crowd(t *testing.T, addresses int) (l *lan, ips []string) {
	l = newLAN(t, "n1", "n2", "n3", "n4", "n5", "n6")
	l.setPool(poolObject("lan", "192.168.10.100-192.168.10.250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	for i := range addresses {
		name, ip := fmt.Sprintf("s%d", i), fmt.Sprintf("192.168.10.%d", 100+i)
		l.setService(serviceObject(name, ip))
		l.setEndpoints(endpointsOn(name, "n1", "n6"))
		ips = append(ips, ip)
	}
	l.settle()
	return l, ips
}

// whose returns the owner of each address.
func (l *lan) whose(ips []string) map[string]string {
	owners := map[string]string{}
	for _, ip := range ips {
		owners[ip] = l.owner(ip)
	}
	return owners
}

func TestWhatWasTakenOverFromADeadNodeStaysWhenTheNextOneDiesBeforeItIsRecorded(t *testing.T) {
	l, ips := crowd(t, 60)
	l.kill("n1")
	l.planAll()
	before := l.whose(ips)
	l.kill("n2")
	l.planAll()
	l.planAll()
	for ip, owner := range l.whose(ips) {
		if was := before[ip]; was != "n2" && was != owner {
			t.Errorf("%s moved from %s to %s", ip, was, owner)
		}
	}
	after := l.whose(ips)
	l.settle()
	for ip, owner := range l.whose(ips) {
		if after[ip] != owner {
			t.Errorf("%s moved from %s to %s when the takeovers were recorded", ip, after[ip], owner)
		}
	}
}

func TestANodeThatSeesADeathLateLeavesWhatOthersHaveTakenOver(t *testing.T) {
	l, ips := crowd(t, 60)
	l.sees = map[string][]string{"n3": l.alive}
	l.kill("n1")
	l.planAll()
	taken := map[string]string{}
	for _, ip := range ips {
		if owners := l.owners(ip); len(owners) == 1 {
			taken[ip] = owners[0]
		}
	}
	l.sees = nil
	l.kill("n2")
	l.planAll()
	l.planAll()
	for ip, was := range taken {
		if owner := l.owner(ip); was != "n2" && owner != was {
			t.Errorf("%s moved from %s to %s", ip, was, owner)
		}
	}
}

func TestATakeoverThatIsNeverRecordedCountsForAWhileOnly(t *testing.T) {
	l, ips := crowd(t, 60)
	l.apiAway = true
	l.kill("n1")
	var lost []string
	for _, ip := range ips {
		if len(l.owners(ip)) > 0 {
			continue
		}
		lost = append(lost, ip)
		for name, n := range l.nodes {
			if name != "n2" {
				n.planner.ObserveTakeovers("n2", []Takeover{{Address: addr(ip), Epoch: 2}}, l.now)
			}
		}
	}
	l.planAll()
	for _, ip := range lost {
		if owners := l.owners(ip); len(owners) > 0 && owners[0] != "n2" {
			t.Errorf("%s is announced by %v although n2 has said that it has taken it over", ip, owners)
		}
	}
	l.now = l.now.Add(recordTimeout)
	l.planAll()
	l.planAll()
	for _, ip := range lost {
		l.owner(ip)
	}
}

func TestOnlyTakeoversThatTheAPIDoesNotShowAreTold(t *testing.T) {
	l, _ := crowd(t, 12)
	l.kill("n1")
	told := 0
	for name, n := range l.nodes {
		n.planner.SetAlive(l.alive)
		plan := n.planner.Plan(l.now)
		told += len(plan.Takeovers)
		if len(plan.Takeovers) != len(plan.Moves) {
			t.Errorf("%s tells %v of %v", name, plan.Takeovers, plan.Moves)
		}
		if again := n.planner.Plan(l.now.Add(time.Millisecond)); len(again.Takeovers) > 0 {
			t.Errorf("%s tells %v again", name, again.Takeovers)
		}
	}
	if told != 2 {
		t.Errorf("%d takeovers were told, want those of the 2 addresses of the dead node", told)
	}
}

func TestOneThatIsDrainedTooJustAfterItTookAnAddressKeepsIt(t *testing.T) {
	l := web(t)
	l.settle()
	first := l.owner(vip)
	l.setNode(nodeObject(first, drained))
	l.planAll()
	l.planAll()
	var second string
	for name, n := range l.nodes {
		if n.planner.round.Decision(addr(vip)).Owner == name {
			second = name
		}
	}
	if second == "" || second == first {
		t.Fatalf("%q has taken the address", second)
	}
	for name := range l.nodes {
		l.setNode(nodeObject(name, drained))
	}
	for range 3 {
		l.planAll()
		if owner := l.nodes[second].planner.round.Decision(addr(vip)).Owner; owner != second {
			t.Fatalf("%s has given the address to %s", second, owner)
		}
	}
	l.settle()
	if got := l.owner(vip); got != second {
		t.Errorf("%s has it in the end, after %s took it over from %s", got, second, first)
	}
}

// unconnected is what is left of three nodes: n1 and n2, which neither the gossip nor the API connects. n2 does not know whether n1 is
// alive, as one that had no address to be asked for.
func unconnected(t *testing.T) (l *lan, ips []string) {
	l = web(t)
	l.many(20)
	l.settle()
	for ip := range l.nodes["n3"].layer2 {
		ips = append(ips, ip.String())
	}
	l.kill("n3")
	l.apiAway = true
	l.sees = map[string][]string{"n1": {"n1"}, "n2": {"n2"}}
	l.states = map[string]MemberState{"n1": Suspect, "n2": GossipBlocked}
	for range 3 {
		l.planAll()
	}
	return l, ips
}

func TestOfTwoNodesThatOnlyHearEachOtherOnTheNetworkOneTakesAnAddressOver(t *testing.T) {
	l, ips := unconnected(t)
	before := l.whose(ips)
	for range 10 { // as long as it lasts
		l.now = l.now.Add(recordTimeout / 2)
		l.planAll()
		for ip, owner := range l.whose(ips) {
			if owner != before[ip] {
				t.Fatalf("%s moved from %s to %s", ip, before[ip], owner)
			}
		}
	}
	l.apiAway = false
	l.settle()
	l.sees, l.states = nil, nil
	l.settle()
	for ip, owner := range l.whose(ips) {
		if owner != before[ip] {
			t.Errorf("%s moved from %s to %s when they were connected again", ip, before[ip], owner)
		}
	}
}

func TestWhoWasOnlyHeardOnTheNetworkIsAskedForBeforeItIsForgotten(t *testing.T) {
	for name, gone := range map[string]func(l *lan){
		"a dead one is followed at once": func(l *lan) { l.states = nil },
		"one that does not answer is followed when it was asked": func(l *lan) {
			l.now = l.now.Add(recordTimeout)
			l.planAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, ips := unconnected(t)
			if !slices.ContainsFunc(ips, func(ip string) bool { return l.owner(ip) == "n1" }) {
				t.Fatal("n1 has taken nothing over")
			}
			l.kill("n1")
			gone(l)
			l.planAll()
			for ip, owner := range l.whose(ips) {
				if owner != "n2" {
					t.Errorf("%s has %s", owner, ip)
				}
			}
		})
	}
}

func TestANodeGivesWayToOneItHearsOnlyIfNeitherCanKnowOfTheOther(t *testing.T) {
	for _, tt := range []struct {
		name     string
		other    string
		state    MemberState
		inGossip bool
		recorded bool
		givesWay bool
	}{
		{name: "whose gossip is blocked", other: "n1", state: GossipBlocked, givesWay: true},
		{name: "of which it does not know yet", other: "n1", state: Suspect, givesWay: true},
		{name: "that has no announcer", other: "n1", state: AnnouncerDown},
		{name: "that is dead", other: "n1", state: Dead},
		{name: "that the gossip sees", other: "n1", inGossip: true},
		{name: "though the API shows the takeover", other: "n1", state: GossipBlocked, recorded: true},
		{name: "whose name sorts later", other: "n4", state: GossipBlocked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t, "n1", "n2", "n3", "n4")
			l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
			l.advertise("all", v1alpha1.L2AdvertisementSpec{})
			l.many(20)
			l.settle()
			for _, name := range []string{"n1", "n3", "n4"} {
				l.kill(name)
			}
			l.sees = map[string][]string{"n2": {"n2"}}
			if tt.inGossip {
				l.sees["n2"] = []string{"n1", "n2"}
			}
			l.states = map[string]MemberState{tt.other: tt.state}
			l.apiAway = true
			l.planAll()
			if tt.recorded {
				l.record("n2")
				l.planAll()
			}
			n2 := l.nodes["n2"]
			var heard []netip.Addr
			for ip, o := range n2.planner.claims.owned {
				if o.reason == MoveIncumbentDown {
					heard = append(heard, ip)
					n2.planner.ObserveAnnouncement(ip, tt.other, l.now)
				}
			}
			l.planAll()
			kept := slices.DeleteFunc(slices.Clone(heard), func(ip netip.Addr) bool { return n2.layer2[ip] == nil })
			if givesWay := len(kept) == 0; len(heard) == 0 || givesWay != tt.givesWay {
				t.Errorf("of %v, n2 has kept %v", heard, kept)
			}
		})
	}
}
