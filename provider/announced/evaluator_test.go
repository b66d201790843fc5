package announced

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// scene is an evaluator and what it is told.
type scene struct {
	*evaluator
	t   testing.TB
	now time.Time
	// generation of the last object that has one.
	generation int64
}

func newScene(t testing.TB) *scene {
	return &scene{evaluator: newEvaluator(), t: t, now: epoch}
}

// service returns a Service that asks for a load balancer.
func service(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	if change != nil {
		change(s)
	}
	return s
}

func named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

// serve sets a Service that has addresses.
func (s *scene) serve(name string, addresses ...string) *corev1.Service {
	object := service(name, func(object *corev1.Service) {
		object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
		for _, address := range addresses {
			object.Status.LoadBalancer.Ingress = append(object.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
		}
	})
	s.setService(named(name), object)
	return object
}

// endpoint gives a Service an endpoint in one family or takes it away.
func (s *scene) endpoint(service string, family discoveryv1.AddressType, node string) {
	name := named(service + "-" + strings.ToLower(string(family)))
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: family,
	}
	if node != "" {
		slice.Endpoints = []discoveryv1.Endpoint{{NodeName: &node}}
	}
	s.setEndpointSlice(name, slice)
}

func (s *scene) pool(addresses ...string) {
	s.setPool("pool", &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}})
}

func (s *scene) advertise() {
	s.setL2Advertisement("all", &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all", Generation: s.next()}})
}

func (s *scene) node(name string, ready corev1.ConditionStatus, change ...func(*corev1.Node)) {
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
	}
	for _, c := range change {
		c(object)
	}
	s.setNode(name, object)
}

// announcer returns an Announcer that runs and has one interface for the documentation networks.
func announcer(name string) *v1alpha1.Announcer {
	return &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.AnnouncerStatus{
		Layer2: v1alpha1.Layer2Status{Interfaces: []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"192.0.2.0/24", "2001:db8::/64"}}}},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRunning, LastTransitionTime: metav1.NewTime(epoch),
		}},
	}}
}

func (s *scene) announcer(name string, change func(*v1alpha1.AnnouncerStatus)) {
	object := announcer(name)
	if change != nil {
		change(&object.Status)
	}
	s.setAnnouncer(name, object)
}

func claims(epochs map[string]int64, interfaces ...string) func(*v1alpha1.AnnouncerStatus) {
	return func(status *v1alpha1.AnnouncerStatus) {
		for _, address := range slices.Sorted(maps.Keys(epochs)) {
			status.Layer2.Addresses = append(status.Layer2.Addresses, v1alpha1.Layer2Address{
				IP: address, Interfaces: interfaces, Epoch: epochs[address], Since: metav1.NewTime(epoch),
			})
		}
	}
}

// drains has an announcer say that its node is being drained.
func drains(status func(*v1alpha1.AnnouncerStatus)) func(*v1alpha1.AnnouncerStatus) {
	return func(s *v1alpha1.AnnouncerStatus) {
		s.Conditions[0].Reason = v1alpha1.ReasonDraining
		if status != nil {
			status(s)
		}
	}
}

func hears(status *v1alpha1.AnnouncerStatus, address, mac string) {
	status.Layer2.Conflicts = append(status.Layer2.Conflicts, v1alpha1.Layer2Conflict{IP: address, Interface: "eth0", MAC: mac, Since: metav1.NewTime(epoch)})
}

// expect evaluates and checks the condition of the Service "web"; "" for none, "unchanged" if it
// must not be evaluated.
func (s *scene) expect(want string) {
	s.t.Helper()
	statements, _ := s.evaluate(s.now)
	got := "unchanged"
	if said, evaluated := statements[named("web")]; evaluated {
		if got = ""; len(said) > 0 {
			condition := announcedCondition(said)
			got = fmt.Sprintf("%s %s: %s", condition.Status, condition.Reason, condition.Message)
		}
	}
	if got != want {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// stage returns a scene where the Service "web" has an address that n1 and n2 could announce.
func stage(t testing.TB) *scene {
	s := newScene(t)
	s.pool("192.0.2.0/24", "2001:db8::/64")
	s.advertise()
	s.serve("web", "192.0.2.5")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "n1")
	for _, name := range []string{"n1", "n2"} {
		s.node(name, corev1.ConditionTrue)
		s.announcer(name, nil)
	}
	return s
}

const onN1 = "192.0.2.5 is announced by n1 on eth0 since 2026-01-01T00:00:00Z"

func TestAServiceSaysWhatKeepsItFromBeingAnnouncedUntilItIs(t *testing.T) {
	s := newScene(t)
	s.serve("web", "192.0.2.5")
	s.expect("False NotAdvertised: 192.0.2.5 is not announced: no IPAddressPool contains this address; add it to an IPAddressPool")
	s.pool("192.0.2.0/24")
	s.expect("False NotAdvertised: 192.0.2.5 is not announced: no L2Advertisement or BGPAdvertisement selects this address; create an L2Advertisement or BGPAdvertisement, or have one select its pool")
	s.advertise()
	s.expect("False NoEndpoint: 192.0.2.5 is not announced: the Service has no endpoint that can serve; have its selector select a pod that is ready, or give it EndpointSlices")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "n1")
	s.expect("False NoNode: 192.0.2.5 is not announced: there is no node")
	s.node("n2", corev1.ConditionTrue)
	s.node("n1", corev1.ConditionTrue)
	s.expect("False NoNode: 192.0.2.5 is not announced: no node can: n1 and n2 (no announcer has run on this node; see that a pod of the DaemonSet clarion-system/announcer runs there)")
	s.announcer("n1", nil)
	s.expect("False Pending: 192.0.2.5 is about to be announced")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}))
	s.expect("False Pending: 192.0.2.5 is about to be announced by n1, which makes sure that nobody else has it")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth1", "eth0"))
	s.expect("True Announced: 192.0.2.5 is announced by n1 on eth0 and eth1 since 2026-01-01T00:00:00Z")
	s.expect("unchanged")
}

func TestTheBestClaimSaysWhoAnnounces(t *testing.T) {
	s := stage(t)
	one := map[string]int64{"192.0.2.5": 1}
	s.announcer("n1", claims(one, "eth0"))
	s.expect("True Announced: " + onN1)
	s.node("n1", corev1.ConditionUnknown)
	s.expect("False Pending: 192.0.2.5 is about to move away from n1, whose announcer is not in sight")
	s.announcer("n2", claims(map[string]int64{"192.0.2.5": 2}, "eth0"))
	s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
	s.node("n1", corev1.ConditionTrue) // and still has its old claim
	s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 2}))
	s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
	s.setAnnouncer("n2", nil)
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 3}, "eth0"))
	s.expect("True Announced: " + onN1)
	s.setNode("n1", nil)
	s.setAnnouncer("n1", nil)
	s.setNode("n2", nil)
	s.expect("False NoNode: 192.0.2.5 is not announced: there is no node")
}

func TestAClaimSliceSaysWhatTheListOfItsRevisionDoesNot(t *testing.T) {
	s := stage(t)
	list := func(revision int64, epochs map[string]int64) {
		s.announcer("n1", func(status *v1alpha1.AnnouncerStatus) {
			status.Layer2.Revision = revision
			claims(epochs, "eth0")(status)
		})
	}
	slice := func(revision int64, epochs map[string]int64, released ...string) {
		var status v1alpha1.AnnouncerStatus
		claims(epochs, "eth0")(&status)
		s.setClaimSlice("n1-0", &v1alpha1.ClaimSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "n1-0"}, Announcer: "n1", Revision: revision, Addresses: status.Layer2.Addresses, Released: released,
		})
	}
	one := map[string]int64{"192.0.2.5": 1}
	const announced, pending = "True Announced: " + onN1, "False Pending: 192.0.2.5 is about to be announced"
	list(1, nil)
	s.expect(pending)
	slice(1, one)
	s.expect(announced)
	list(2, one)
	s.expect(announced)
	slice(2, nil, "192.0.2.5")
	s.expect(pending)
	list(3, one) // it says the same as before, and the slice nothing any more
	s.expect(announced)
	slice(3, nil, "192.0.2.5")
	s.expect(pending)
	s.setClaimSlice("n1-0", nil) // its announcer runs, and makes it again
	s.expect(pending)
}

func TestOfTwoEqualClaimsTheOneThatTheAPIRecordedFirstHolds(t *testing.T) {
	s := stage(t)
	s.expect("False Pending: 192.0.2.5 is about to be announced")
	one := map[string]int64{"192.0.2.5": 1}
	s.announcer("n2", claims(one, "eth0"))
	s.announcer("n1", claims(one, "eth0"))
	s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
	if owner := s.explain(netip.MustParseAddr("192.0.2.5"), s.now).Decision.Owner; owner != "n2" {
		t.Errorf("the plan has %s announce the address", owner)
	}
}

func TestARestartOfAnAnnouncerChangesNothing(t *testing.T) {
	s := stage(t)
	stopped := func(status *v1alpha1.AnnouncerStatus) {
		claims(map[string]int64{"192.0.2.5": 1}, "eth0")(status)
		status.Conditions[0].Status, status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
		status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch.Add(time.Hour))
	}
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth0"))
	s.expect("True Announced: " + onN1)
	s.now = epoch.Add(time.Hour + time.Second)
	s.announcer("n1", stopped)
	if _, again := s.evaluate(s.now); !again.Equal(epoch.Add(time.Hour + plan.RestartGrace)) {
		t.Errorf("evaluates again at %s, want a minute after the stop", again)
	}
	s.expect("unchanged")
	s.announcer("n2", stopped) // so that nobody answers for n1
	s.expect("False Pending: 192.0.2.5 is not announced: the announcer of n1 was stopped, and no other one runs that could answer in its place")
	s.announcer("n2", nil)
	s.expect("True Announced: " + onN1)
	s.now = epoch.Add(time.Hour + plan.RestartGrace)
	s.expect("False Pending: 192.0.2.5 is about to move away from n1, whose announcer is not in sight")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth0"))
	s.expect("True Announced: " + onN1)
	s.node("n1", corev1.ConditionFalse)
	s.announcer("n1", stopped)
	s.now = epoch.Add(time.Hour + time.Second)
	s.expect("False Pending: 192.0.2.5 is about to move away from n1, whose announcer is not in sight")
}

func TestADrainedNodeAnnouncesUntilAnotherDoes(t *testing.T) {
	one := claims(map[string]int64{"192.0.2.5": 1}, "eth0")
	for name, drain := range map[string]func(*corev1.Node){
		"label":      func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} },
		"annotation": func(n *corev1.Node) { n.Annotations = map[string]string{v1alpha1.AnnotationDrain: ""} },
		"taint":      func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "example.com/maintenance"}} },
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t)
			s.announcer("n1", one)
			s.expect("True Announced: " + onN1)
			s.node("n1", corev1.ConditionTrue, drain)
			s.expect("True Announced: " + onN1)
			s.announcer("n1", drains(one))
			s.expect("True Announced: " + onN1)
			s.announcer("n2", claims(map[string]int64{"192.0.2.5": 2}, "eth0"))
			s.announcer("n1", drains(nil))
			s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
		})
	}
}

func TestOfSeveralAddressesTheWorstGivesTheReason(t *testing.T) {
	s := stage(t)
	s.serve("web", "192.0.2.5", "2001:db8::5")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth0"))
	s.expect("False NoEndpoint: " + onN1 + "; 2001:db8::5 is not announced: the Service has no endpoint that can serve; have its selector select a pod that is ready, or give it EndpointSlices")
	s.endpoint("web", discoveryv1.AddressTypeIPv6, "n1")
	s.expect("False Pending: " + onN1 + "; 2001:db8::5 is about to be announced")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1, "2001:db8::5": 1}, "eth0"))
	s.expect("True Announced: " + onN1 + "; 2001:db8::5 is announced by n1 on eth0 since 2026-01-01T00:00:00Z")
}

func TestAHostThatAnswersForEveryAddressIsNamedAndEatsNoPool(t *testing.T) {
	s := stage(t)
	s.announcer("n1", func(status *v1alpha1.AnnouncerStatus) {
		hears(status, "192.0.2.5", "02:00:00:00:00:aa")
		status.Layer2.Conflicts[0].Proxy = true
	})
	s.expect("False AddressConflict: 192.0.2.5 is not announced: the host 02:00:00:00:00:aa answers for every address (proxy ARP), so that nobody can tell " +
		"whether a host has this one: have it stop that, or set duplicateAddressDetection: Disabled in the L2Advertisement (heard by n1 on eth0)")
	if got := conflictingAddresses(s.conflicts); len(got) != 0 {
		t.Errorf("the allocator is told %v, and would give the Service another address", got)
	}
}

func TestAnAddressThatWasAnnouncedIsNotGivenAwayBecauseOfAProbe(t *testing.T) {
	s := stage(t)
	probed := func(status *v1alpha1.AnnouncerStatus) { hears(status, "192.0.2.5", "02:00:00:00:00:99") }
	s.announcer("n1", probed)
	s.evaluate(s.now)
	if got := conflictingAddresses(s.conflicts); len(got) != 1 {
		t.Errorf("of an address that is new, the allocator is told %v", got)
	}
	said := s.serve("web", "192.0.2.5").DeepCopy()
	said.Status.Conditions = append(said.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAnnounced, Status: metav1.ConditionTrue})
	s.setService(named("web"), said)
	s.expect("False AddressConflict: 192.0.2.5 is not announced: the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0); take it from that host, or exclude it from its pool")
	if got := conflictingAddresses(s.conflicts); len(got) != 0 {
		t.Errorf("of one that was announced, the allocator is told %v", got)
	}
	s.setService(named("web"), nil)
	if len(s.announced) != 0 {
		t.Errorf("%v is remembered of a Service that is gone", s.announced)
	}
}

func TestAfterTenConflictsAServiceGetsAnotherAddressOnceAMinute(t *testing.T) {
	s := stage(t)
	s.serve("other", "192.0.2.250")
	var heard []string
	conflict := func(address string) {
		s.serve("web", address)
		heard = append(heard, address)
		s.announcer("n1", func(status *v1alpha1.AnnouncerStatus) {
			for _, address := range heard {
				hears(status, address, "02:00:00:00:00:99")
			}
		})
	}
	avoided := func() int {
		s.evaluate(s.now)
		return len(conflictingAddresses(s.conflicts))
	}
	for i := range maxConflicts {
		conflict(fmt.Sprintf("192.0.2.%d", 10+i))
		if got := avoided(); got != i+1 {
			t.Fatalf("after %d conflicts %d addresses are avoided", i+1, got)
		}
	}
	conflict("192.0.2.100")
	s.expect("False AddressConflict: 192.0.2.100 is not announced: the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0)" +
		"; after 10 conflicts the Service gets another address once a minute at most; take it from that host, or exclude it from its pool")
	if _, again := s.evaluate(s.now); !again.Equal(s.now.Add(rateLimitInterval)) || avoided() != maxConflicts {
		t.Errorf("looks again at %s and avoids %d", again, avoided())
	}
	// Another Service has nothing to do with it.
	heard = append(heard, "192.0.2.250")
	conflict("192.0.2.100")
	if got := avoided(); got != maxConflicts+1 {
		t.Errorf("with the conflict of another Service, %d are avoided", got)
	}
	s.now = s.now.Add(rateLimitInterval)
	if got := avoided(); got != maxConflicts+2 {
		t.Errorf("a minute later, %d are avoided", got)
	}
	conflict("192.0.2.101")
	if got := avoided(); got != maxConflicts+2 {
		t.Errorf("the next one at once: %d are avoided", got)
	}
}

func TestConflictingHostsAreNamedWithThoseWhoHeardThem(t *testing.T) {
	s := stage(t)
	announces := claims(map[string]int64{"192.0.2.5": 1}, "eth0")
	s.expect("False Pending: 192.0.2.5 is about to be announced")
	s.announcer("n1", func(status *v1alpha1.AnnouncerStatus) { hears(status, "192.0.2.5", "02:00:00:00:00:99") })
	s.expect("False AddressConflict: 192.0.2.5 is not announced: the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0); take it from that host, or exclude it from its pool")
	s.announcer("n2", func(status *v1alpha1.AnnouncerStatus) {
		announces(status)
		hears(status, "192.0.2.5", "02:00:00:00:00:88")
		status.Layer2.Conflicts[0].InUse = true
	})
	s.expect("False AddressConflict: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z, but the hosts 02:00:00:00:00:88 and 02:00:00:00:00:99 on the network answer for it (heard by n1 on eth0 and n2 on eth0); take it from that host, or exclude it from its pool")
	want := "[{192.0.2.5 the hosts 02:00:00:00:00:88 and 02:00:00:00:00:99 on the network answer for it (heard by n1 on eth0 and n2 on eth0)}]"
	if got := fmt.Sprint(conflictingAddresses(s.conflicts)); got != want {
		t.Errorf("the allocator is told %s, want %s", got, want)
	}
	s.node("n1", corev1.ConditionUnknown) // nobody is there to notice when the host goes
	s.expect("False AddressConflict: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z, but the host 02:00:00:00:00:88 on the network answers for it (heard by n2 on eth0); take it from that host, or exclude it from its pool")
	if got := conflictingAddresses(s.conflicts); len(got) != 0 {
		t.Errorf("the allocator is told %v although the address is in use", got)
	}
	s.announcer("n2", announces)
	s.expect("True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z")
	if len(s.conflicts) != 0 {
		t.Errorf("still in conflict: %v", s.conflicts)
	}
}

func TestTheConditionGoesWhenTheAddressDoes(t *testing.T) {
	said := func(s *scene, change func(*corev1.Service)) {
		object := s.serve("web", "192.0.2.5")
		object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAnnounced}}
		s.evaluate(s.now)
		object = object.DeepCopy()
		change(object)
		s.setService(named("web"), object)
		s.expect("")
	}
	t.Run("no address", func(t *testing.T) {
		said(stage(t), func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil })
	})
	t.Run("another type", func(t *testing.T) {
		said(stage(t), func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	})
	t.Run("another class", func(t *testing.T) {
		class := "example.com/other"
		said(stage(t), func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class })
	})
	t.Run("Services that never were ours are not evaluated", func(t *testing.T) {
		s := stage(t)
		s.evaluate(s.now)
		s.setService(named("other"), service("other", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }))
		if statements, _ := s.evaluate(s.now); len(statements) != 0 {
			t.Errorf("evaluated %v", statements)
		}
	})
}

func TestOnlyServicesThatAChangeConcernsAreEvaluated(t *testing.T) {
	s := stage(t)
	s.serve("shares", "192.0.2.5")
	s.serve("apart", "192.0.2.6")
	s.evaluate(s.now)
	check := func(what string, want ...string) {
		t.Helper()
		statements, _ := s.evaluate(s.now)
		var got []string
		for name := range statements {
			got = append(got, name.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: evaluated %v, want %v", what, got, want)
		}
	}
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth0"))
	check("a claim", "shares", "web")
	s.announcer("n1", claims(map[string]int64{"192.0.2.5": 1}, "eth0"))
	check("the same claim")
	s.endpoint("web", discoveryv1.AddressTypeIPv4, "")
	check("endpoints", "shares", "web")
	s.serve("shares", "192.0.2.5")
	check("a Service as it was", "shares")
	s.serve("shares", "192.0.2.7")
	check("a Service whose address changes", "shares", "web")
	s.setService(named("apart"), nil)
	check("a Service that goes", "apart")
	s.setEndpointSlice(named("web-ipv4"), nil)
	check("an EndpointSlice that goes", "web")
	s.advertise()
	check("an advertisement", "shares", "web")
}

func TestASentenceStaysReadableHoweverManyNodesThereAre(t *testing.T) {
	var verdicts []plan.Layer2Verdict
	for i := range 100 {
		verdicts = append(verdicts, plan.Layer2Verdict{Node: fmt.Sprintf("n%03d", i), Reason: plan.NoInterface})
	}
	verdicts[1].Reason, verdicts[2].Reason = plan.Excluded, plan.Excluded
	const want = "no node can: n001 and n002 (the node is labelled node.kubernetes.io/exclude-from-external-load-balancers; remove the label)" +
		", n000, n003, n004 and 95 more (no interface of the node that is up suits this address; give it one in a network of the address, or name one in spec.interfaces of the L2Advertisement)"
	if got := newEvaluator().whyNoNode(verdicts); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// BenchmarkAFailover has a thousand of ten thousand addresses move from one of a hundred nodes to
// another.
func BenchmarkAFailover(b *testing.B) {
	s := newScene(b)
	s.pool("192.0.2.0/24", "10.0.0.0/8")
	s.advertise()
	const nodes, each = 10, 1000
	held := make([]map[string]int64, nodes)
	for n := range nodes {
		held[n] = map[string]int64{}
		s.node(fmt.Sprintf("n%02d", n), corev1.ConditionTrue)
		for i := range each {
			address, name := fmt.Sprintf("10.0.%d.%d", n*4+i/250, i%250), fmt.Sprintf("s%d", n*each+i)
			held[n][address] = 1
			s.serve(name, address)
			s.endpoint(name, discoveryv1.AddressTypeIPv4, "n00")
		}
		s.announcer(fmt.Sprintf("n%02d", n), claims(held[n], "eth0"))
	}
	for n := nodes; n < 100; n++ {
		s.node(fmt.Sprintf("n%02d", n), corev1.ConditionTrue)
		s.announcer(fmt.Sprintf("n%02d", n), nil)
	}
	s.evaluate(s.now)
	for b.Loop() {
		for address := range held[0] {
			held[0][address]++
		}
		s.announcer(fmt.Sprintf("n%02d", 10+int(held[0]["10.0.0.0"])%2), claims(held[0], "eth0"))
		if statements, _ := s.evaluate(s.now); len(statements) != each {
			b.Fatalf("evaluated %d Services, want %d", len(statements), each)
		}
	}
}

// BenchmarkANewServiceBesideManyThatNobodyAnnounces has one Service come while nothing advertises
// ten thousand others.
func BenchmarkANewServiceBesideManyThatNobodyAnnounces(b *testing.B) {
	s := newScene(b)
	s.pool("10.0.0.0/8")
	s.node("n1", corev1.ConditionTrue)
	s.announcer("n1", nil)
	for i := range 10_000 {
		s.serve(fmt.Sprintf("s%d", i), fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	s.evaluate(s.now)
	for b.Loop() {
		s.setService(named("new"), nil)
		s.serve("new", "10.1.0.0")
		if statements, _ := s.evaluate(s.now); len(statements) != 1 {
			b.Fatalf("evaluated %d Services, want 1", len(statements))
		}
	}
}
