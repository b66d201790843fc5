package plan

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

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

// fourOf is a cluster of four nodes at rest, with so many Services, each on one of the addresses.
func fourOf(t *testing.T, services int) (l *lan, ips []string) {
	names := []string{"n1", "n2", "n3", "n4"}
	l = newLAN(t, names...)
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	for i := range services {
		name, ip := fmt.Sprintf("s%d", i), fmt.Sprintf("192.168.10.%d", 200+i)
		l.setService(serviceObject(name, ip))
		l.setEndpoints(endpointsOn(name, names...))
		ips = append(ips, ip)
	}
	l.settle()
	return l, ips
}

// TestWhatWasTakenOverStaysWhenTheDeadNodeIsBackAndHasTakenItsClaimBack has a node take addresses over that cannot record it. The node that
// had them comes back, so that the API shows no claim on them at all.
func TestWhatWasTakenOverStaysWhenTheDeadNodeIsBackAndHasTakenItsClaimBack(t *testing.T) {
	l, ips := fourOf(t, 12)
	l.blind = map[string]bool{"n4": true}
	l.kill("n2")
	l.settle()
	before := l.whose(ips)
	l.boot("n2", eth0)
	l.settle()
	unclaimed := 0
	for ip, owner := range l.whose(ips) {
		if owner != before[ip] {
			t.Errorf("%s moved from %s to %s", ip, before[ip], owner)
		}
		if len(l.nodes["n1"].view.claims[addr(ip)]) == 0 {
			unclaimed++
		}
		for name, n := range l.nodes {
			if got := n.planner.round.Decision(addr(ip)).Owner; got != owner {
				t.Errorf("%s has %s, and %s takes %q for its owner", owner, ip, name, got)
			}
		}
	}
	if unclaimed == 0 {
		t.Error("the API shows a claim on every address")
	}
}

// TestWhoDoesNotSeeTheAPIBelievesANodeThatTakesAnAddressOver has two nodes take addresses over. One of them does not see the API, nor so that
// the other one has an interface again.
func TestWhoDoesNotSeeTheAPIBelievesANodeThatTakesAnAddressOver(t *testing.T) {
	for name, tt := range map[string]struct {
		blind, sees string
		change      func(*corev1.Node) // of the blind one
		want        string             // "" for either
	}{
		"which sorts first":                      {"n4", "n2", nil, ""},
		"which sorts later":                      {"n2", "n4", nil, ""},
		"which sorts first, while it is drained": {"n4", "n2", drained, "n2"},
		"which sorts later, while it is drained": {"n2", "n4", drained, "n4"},
	} {
		for _, away := range []bool{false, true} {
			for _, together := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, API away: %t, both at once: %t", name, away, together), func(t *testing.T) {
					l, ips := fourOf(t, 12)
					l.nodes[tt.sees].interfaces = nil
					l.settle()
					if tt.change != nil {
						l.setNode(nodeObject(tt.blind, tt.change))
					}
					l.settle()
					l.blind = map[string]bool{tt.blind: true}
					l.nodes[tt.sees].interfaces = []Interface{eth0}
					l.settle()
					l.apiAway = away
					l.kill("n1")
					l.kill("n3")
					if together {
						first, second := l.plan("n2"), l.plan("n4")
						l.nodes["n2"].planner.ObserveTakeovers("n4", second.Takeovers, l.now)
						l.nodes["n4"].planner.ObserveTakeovers("n2", first.Takeovers, l.now)
					}
					l.settle()
					for ip, owner := range l.whose(ips) {
						if tt.want != "" && owner != tt.want {
							t.Errorf("%s has %s, want %s", owner, ip, tt.want)
						}
					}
				})
			}
		}
	}
}

// TestWhoDoesNotSeeTheAPIBelievesANodeThatFollowsAnOwnerOfWhomItWasTold has a drained node that does not see the API give its addresses to a
// node that dies then. The node that takes them over has an interface again, which the drained one has not seen.
func TestWhoDoesNotSeeTheAPIBelievesANodeThatFollowsAnOwnerOfWhomItWasTold(t *testing.T) {
	l, ips := fourOf(t, 12)
	l.setNode(nodeObject("n4", drained))
	l.setNode(nodeObject("n3", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "true" }))
	l.nodes["n2"].interfaces = nil
	l.kill("n1")
	l.settle()
	l.blind = map[string]bool{"n4": true}
	l.boot("n1", eth0)
	l.nodes["n2"].interfaces = []Interface{eth0}
	l.settle()
	l.kill("n1")
	l.settle()
	for ip, owner := range l.whose(ips) {
		if owner != "n2" {
			t.Errorf("%s has %s, and %s can have it", owner, ip, "n2")
		}
	}
}
