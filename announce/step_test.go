package announce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var printer = net.HardwareAddr{2, 0, 0, 0, 0, 99}

// both starts two announcers, of which the first has the address.
func (c *cluster) both() (n1, n2 *running) {
	c.t.Helper()
	c.service("web", vip)
	n1 = c.start("n1")
	c.after(time.Minute)
	n2 = c.start("n2")
	c.after(time.Minute)
	c.expectOwners(vip, "n1")
	c.journal.take()
	return n1, n2
}

// drained is the Node of a name, which is to be drained.
func drained(name string) *corev1.Node {
	n := nodeObject(name, addressOf(name).String())
	n.Annotations = map[string]string{v1alpha1.AnnotationDrain: ""}
	return n
}

func TestAnAddressIsRelayedThenAnsweredForThenRecorded(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		c.api.setNode(drained("n1"))
		c.after(5 * time.Second)
		c.expectOwners(vip, "n2")
		c.expectInOrder(
			"n2 relays "+vip,
			"n2 rejects for "+vip,
			"n2 answers for "+vip,
			"n1 quiesces "+vip,
			"n2 records "+vip+" epoch 2, Running",
			"n1 answers for nothing",
		)
		c.expectReady("n1", "True Draining")
		if got := c.metric("n2", "clarion_announcer_layer2_relayed_addresses"); got != 1 {
			t.Errorf("n2 counts %v addresses that it relays", got)
		}
		if n2.seen.own == nil {
			t.Error("n2 has not seen what it recorded")
		}
	})
}

func TestAnAddressThatIsTakenOverIsAnsweredForBeforeAnythingElseIsDone(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.powerOff(n1)
		c.after(2 * time.Second)
		c.expectInOrder("n2 answers for "+vip, "n2 rejects for "+vip, "n2 records "+vip+" epoch 2, Running")
	})
}

func TestAnAddressThatIsTakenOverIsRelayedFirstIfOthersHadIt(t *testing.T) {
	const other = "192.168.10.101"
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		c.api.setNode(drained("n1"))
		c.after(5 * time.Second)
		c.service("dns", other) // which n1 never had
		c.after(5 * time.Second)
		c.expectOwners(vip, "n2")
		c.expectOwners(other, "n2")
		c.start("n3")
		c.after(time.Minute)
		c.journal.take()
		c.powerOff(n2)
		c.after(2 * time.Second)
		c.expectInOrder(
			"n3 answers for "+other,
			"n3 relays "+vip,
			"n3 rejects for "+vip+" "+other,
			"n3 answers for "+vip+" "+other,
		)
	})
}

func TestATakeoverIsToldToTheOthers(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.start("n3")
		c.after(time.Minute)
		c.journal.take()
		c.powerOff(n1)
		c.after(2 * time.Second)
		next := c.lan.owners(addr(vip))
		if len(next) != 1 {
			t.Fatalf("%s have it", next)
		}
		c.expectInOrder(
			fmt.Sprintf(`%s tells {"takeovers":[{"ip":%q,"epoch":2}]}`, next[0], vip),
			next[0]+" answers for "+vip,
			next[0]+" records "+vip+" epoch 2, Running",
		)
		if got := c.metric(next[0], "clarion_announcer_failure_detection_seconds"); got != 1 {
			t.Errorf("%s has measured %v deaths", next[0], got)
		}
	})
}

func TestHowLongADeathTakesIsCountedFromTheLastHeartbeatAlsoByThoseWhoAreTold(t *testing.T) {
	names := []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"} // each has four neighbours
	inCluster(t, names, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		for _, name := range names[2:] {
			c.start(name)
		}
		c.after(time.Minute)
		c.powerOff(n1)
		c.after(2 * time.Second)
		for _, name := range names[1:] {
			const metric = "clarion_announcer_failure_detection_seconds"
			count, seconds := c.metric(name, metric), c.total(name, metric)
			if count > 0 && (seconds < silentAfter.Seconds() || seconds > 2*silentAfter.Seconds()) {
				t.Errorf("%s has measured %v deaths of %v s", name, count, seconds)
			}
		}
	})
}

func TestWhatNoAnnouncerCanHaveToldIsPassedOver(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		n2.others.members.Broadcast([]byte("no list"))
		c.after(time.Second)
		c.expectOwners(vip, "n1")
	})
}

func TestAConflictingHostIsReportedAndTheAddressDefendedAtMostEveryTenSeconds(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.both()
		for range 25 {
			c.lan.hostAnnounces(addr(vip), printer)
			c.after(time.Second)
		}
		all := strings.Join(c.journal.take(), "\n")
		if got := strings.Count(all, "n1 reannounces "+vip); got != 3 {
			t.Errorf("defended %d times in 25 s:\n%s", got, all)
		}
		if got := strings.Count(all, "n1 tells web that "+printer.String()+" has "+vip); got != 1 {
			t.Errorf("told %d times:\n%s", got, all)
		}
		conflicts := c.api.announcer("n1").Status.Layer2.Conflicts
		if len(conflicts) != 1 || conflicts[0].MAC != printer.String() || !conflicts[0].InUse {
			t.Errorf("recorded %+v", conflicts)
		}
		c.expectOwners(vip, "n1")
		c.after(10 * time.Minute)
		if conflicts := c.api.announcer("n1").Status.Layer2.Conflicts; len(conflicts) != 0 {
			t.Errorf("still recorded: %+v", conflicts)
		}
	})
}

func TestAnAddressThatAConflictingHostHasIsNotAnnouncedUntilItIsFree(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.lan.setConflictingHost(addr(vip), printer)
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute / 2)
		c.expectOwners(vip)
		c.expectInOrder("n1 tells web that " + printer.String() + " has " + vip)
		if conflicts := c.api.announcer("n1").Status.Layer2.Conflicts; len(conflicts) != 1 || conflicts[0].InUse {
			t.Errorf("recorded %+v", conflicts)
		}
		c.lan.setConflictingHost(addr(vip), nil)
		c.after(2 * time.Minute)
		c.expectOwners(vip, "n1")
	})
}

func TestAHostThatAnswersForEveryAddressIsOneCause(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		router := net.HardwareAddr{2, 0, 0, 0, 0, 0xaa}
		c.lan.setProxy(router)
		c.service("web", vip)
		c.start("n1")
		c.after(5 * time.Minute)
		c.expectOwners(vip)
		conflicts := c.api.announcer("n1").Status.Layer2.Conflicts
		if len(conflicts) != 1 || !conflicts[0].Proxy || conflicts[0].MAC != router.String() {
			t.Fatalf("recorded %+v", conflicts)
		}
		if all := strings.Join(c.journal.take(), "\n"); strings.Contains(all, "tells web that "+router.String()) {
			t.Errorf("besides the cloud-controller-manager, the announcer tells:\n%s", all)
		}
		// A Service that is gone leaves nothing behind: the host says nothing of its address.
		c.api.set(func(v *plan.View) { v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, nil) })
		c.after(time.Second)
		if conflicts := c.api.announcer("n1").Status.Layer2.Conflicts; len(conflicts) != 0 {
			t.Errorf("still recorded: %+v", conflicts)
		}
		c.service("web", vip)
		c.after(time.Minute)
		c.expectOwners(vip)
		c.lan.setProxy(nil)
		c.after(2 * time.Minute)
		c.expectOwners(vip, "n1")
	})
}

func TestWithoutDuplicateAddressDetectionAnAddressIsAnnouncedWhoeverAnswers(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.lan.setProxy(net.HardwareAddr{2, 0, 0, 0, 0, 0xaa})
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute)
		c.expectOwners(vip)
		c.api.set(func(v *plan.View) {
			off := &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{DuplicateAddressDetection: v1alpha1.DuplicateAddressDetectionDisabled}}
			off.Name = "off"
			v.SetL2Advertisement("off", off)
		})
		c.after(time.Second)
		c.expectOwners(vip, "n1")
		c.service("other", "192.168.10.101")
		c.after(10 * time.Second)
		c.expectOwners("192.168.10.101", "n1")
		if conflicts := c.api.announcer("n1").Status.Layer2.Conflicts; len(conflicts) != 0 {
			t.Errorf("still recorded: %+v", conflicts)
		}
	})
}

func TestANodeWithoutAnAnnouncerIsNoStranger(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.api.set(func(v *plan.View) { v.SetNode("n9", nodeObject("n9", "192.168.10.19")) })
		c.lan.setConflictingHost(addr("192.168.10.19"), printer) // the node answers for itself
		c.lan.setConflictingHost(addr(vip), printer)
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute)
		c.expectOwners(vip, "n1")
	})
}

func TestAHostWithAFewAddressesIsNoProxy(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		for _, ip := range []string{vip, "192.168.10.101"} {
			c.lan.setConflictingHost(addr(ip), printer)
		}
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute / 2)
		conflicts := c.api.announcer("n1").Status.Layer2.Conflicts
		if len(conflicts) != 1 || conflicts[0].Proxy {
			t.Errorf("recorded %+v", conflicts)
		}
	})
}

func TestANewAddressThatAMemberAnswersForIsNoConflict(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.start("n1")
		n2 := c.start("n2")
		c.after(time.Minute)
		c.lan.setConflictingHost(addr(vip), n2.station.mac)
		c.service("web", vip)
		c.after(time.Minute)
		if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
			t.Errorf("%s announce it", owners)
		}
	})
}

func TestWhatANodeServesThatHasNotClaimedItIsRelayedToIt(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.start("n1")
		n2 := c.start("n2")
		c.after(time.Minute)
		c.api.setNode(drained("n2"))
		c.lan.setConflictingHost(addr(vip), n2.station.mac) // another load balancer on n2 answers
		c.service("web", vip)
		c.after(time.Minute)
		c.expectOwners(vip, "n1")
		c.expectInOrder("n1 relays "+vip, "n1 answers for "+vip)
		addresses := c.api.announcer("n1").Status.Layer2.Addresses
		if len(addresses) != 1 || !slices.Equal(addresses[0].PreviousOwners, []string{"n2"}) {
			t.Errorf("recorded %+v", addresses)
		}
	})
}

func TestAnAddressThatAnotherNodeClaimsLaterIsAnnouncedAgain(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute)
		c.journal.take()
		c.api.setAnnouncer(&v1alpha1.Announcer{Status: v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{
			Addresses: []v1alpha1.Layer2Address{{IP: vip, Epoch: 1, Interfaces: []string{"eth0"}}},
		}}}, "n2")
		c.after(time.Second)
		c.expectInOrder("n1 reannounces " + vip)
		c.expectOwners(vip, "n1")
	})
}

func TestWhatAnAnnouncerHasRecordedIsPutRight(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.service("web", vip)
		c.start("n1")
		c.after(time.Minute)
		c.api.setAnnouncer(&v1alpha1.Announcer{}, "n1")
		c.after(time.Second)
		c.expectReady("n1", "True Running")
		c.journal.take()
		c.after(time.Hour)
		if lines := c.journal.take(); len(lines) > 0 {
			t.Errorf("although nothing happens, it does %q", lines)
		}
	})
}

func TestWhatTheKernelDoesIsInTheConditions(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		n1 := c.prepare("n1")
		n1.station.relayFailure = errors.New("operation not permitted")
		n1.station.rejectProblem = " Nothing is refused."
		n1.run(t.Context())
		c.after(time.Minute)
		c.expectReady("n1", "True Running: The announcer announces what falls to its node. Connections that are under way when an address moves here break, "+
			"because the kernel does not relay them: operation not permitted. Nothing is refused.")
		if is := c.condition("n1", v1alpha1.ConditionStrictARP); !strings.HasPrefix(is, "True Strict: ") {
			t.Errorf("says %q", is)
		}
		c.lan.mu.Lock()
		n1.station.kernelProblem = "The kernel answers."
		n1.station.rejectProblem = ""
		c.lan.mu.Unlock()
		n1.station.kernelChanged.Notify()
		c.after(time.Second)
		if is := c.condition("n1", v1alpha1.ConditionReady); strings.HasSuffix(is, "Nothing is refused.") {
			t.Errorf("still says %q", is)
		}
		if is := c.condition("n1", v1alpha1.ConditionStrictARP); is != "False KernelAnswers: The kernel answers." {
			t.Errorf("says %q", is)
		}
	})
}

func TestAnAnnouncerSaysWhatAddressesItsNodeHas(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		n1 := c.start("n1")
		c.after(time.Minute)
		own := addressOf("n1").String()
		expect := func(when string, want ...v1alpha1.HostAddress) {
			t.Helper()
			if host := c.api.announcer("n1").Status.Host; !slices.Equal(host.Addresses, want) || !slices.Equal(host.NodeIPs, []string{own}) || !slices.Equal(host.Gateways, []string{gateway.String()}) {
				t.Errorf("%s: %+v", when, host)
			}
		}
		expect("at first", v1alpha1.HostAddress{IP: own, Interface: "eth0"})
		c.lan.mu.Lock()
		n1.station.virtual = []netip.Addr{netip.MustParseAddr("192.168.10.77")}
		c.lan.mu.Unlock()
		n1.station.kernelChanged.Notify()
		c.after(2 * time.Second)
		expect("with a virtual IP", v1alpha1.HostAddress{IP: own, Interface: "eth0"}, v1alpha1.HostAddress{IP: "192.168.10.77", Interface: "eth0"})
		c.lan.mu.Lock()
		n1.station.virtual = make([]netip.Addr, 1000)
		for i := range n1.station.virtual {
			n1.station.virtual[i] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		}
		c.lan.mu.Unlock()
		n1.station.kernelChanged.Notify()
		c.after(2 * time.Second)
		if n := len(c.api.announcer("n1").Status.Host.Addresses); n != mostHostAddresses {
			t.Errorf("of very many it says %d", n)
		}
	})
}

func TestTheTimeOfATransitionOutlivesARestart(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.start("n1")
		c.after(time.Minute)
		since := func() metav1.Time {
			for _, condition := range c.api.announcer("n1").Status.Conditions {
				if condition.Type == v1alpha1.ConditionStrictARP {
					return condition.LastTransitionTime
				}
			}
			return metav1.Time{}
		}
		before := since()
		if err := c.running["n1"].stop(); err != nil {
			t.Error(err)
		}
		c.start("n1")
		c.after(time.Minute)
		if after := since(); before.IsZero() || !after.Equal(&before) {
			t.Errorf("it was %s and is %s", before, after)
		}
	})
}

func TestAConditionOfAnEarlierVersionIsRemoved(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.start("n1")
		c.after(time.Minute)
		if err := c.running["n1"].stop(); err != nil {
			t.Error(err)
		}
		left := c.api.announcer("n1").DeepCopy()
		left.Status.Conditions = append(left.Status.Conditions, metav1.Condition{Type: "KernelQuiet", Status: metav1.ConditionFalse, Reason: "KernelAnswers"})
		c.api.setAnnouncer(left, "n1")
		c.start("n1")
		c.after(time.Minute)
		for _, condition := range c.api.announcer("n1").Status.Conditions {
			if condition.Type == "KernelQuiet" {
				t.Error("it is still there")
			}
		}
	})
}

func TestAnAddressIsAnsweredForWhenTheNodeServesIt(t *testing.T) {
	inCluster(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		n1 := c.start("n1")
		c.after(time.Minute)
		c.serviceOf("web", vip, "n1", func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 32000
		})
		c.after(time.Minute)
		c.expectOwners(vip)
		n1.checks.serves()
		c.after(time.Second)
		c.expectOwners(vip, "n1")
	})
}

func TestAnAddressLeavesANodeWhoseKubeProxyIsDown(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, n2 := c.both()
		n1.health.is(metav1.ConditionFalse, v1alpha1.ReasonNotServing)
		c.after(time.Minute)
		if is := c.condition("n1", v1alpha1.ConditionKubeProxy); is != "False NotServing: It says so." {
			t.Errorf("says %q", is)
		}
		c.expectOwners(vip, "n1") // nobody knows whether n2 is better
		n2.health.is(metav1.ConditionTrue, v1alpha1.ReasonServing)
		c.after(time.Minute)
		c.expectOwners(vip, "n2")
	})
}

func TestAnAddressThatAServiceAsksForIsProbedBeforeTheServiceHasIt(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.start("n1")
		c.start("n2")
		c.after(time.Minute)
		key := types.NamespacedName{Namespace: "default", Name: "app"}
		asks := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Finalizers: []string{scope.Finalizer}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerIP: vip},
		}
		recorded := func() (probed, conflicts []string) {
			for _, node := range []string{"n1", "n2"} {
				layer2 := c.api.announcer(node).Status.Layer2
				probed = append(probed, layer2.Probed...)
				for _, conflict := range layer2.Conflicts {
					conflicts = append(conflicts, conflict.IP+" "+conflict.MAC)
				}
			}
			return probed, conflicts
		}
		c.api.set(func(v *plan.View) { v.SetService(key, asks) })
		c.after(time.Second)
		if probed, conflicts := recorded(); !slices.Equal(probed, []string{vip}) || len(conflicts) > 0 {
			t.Errorf("of a free address is recorded: probed %v, conflicts %v", probed, conflicts)
		}
		c.lan.setConflictingHost(addr(vip), printer)
		c.after(2 * time.Minute)
		if probed, conflicts := recorded(); len(probed) > 0 || !slices.Equal(conflicts, []string{vip + " " + printer.String()}) {
			t.Errorf("of one that a host has: probed %v, conflicts %v", probed, conflicts)
		}
		c.expectOwners(vip)
	})
}
