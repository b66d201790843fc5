package snapshot

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/scope"
)

var epoch = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

func pool(name string, addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
}

func service(name, address string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), CreationTimestamp: epoch},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	if address != "" {
		s.Finalizers = []string{scope.Finalizer}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, LastTransitionTime: epoch}}
	}
	return s
}

func node(name string) []runtime.Object {
	return []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.2"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}},
		&v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.AnnouncerStatus{
			Layer2: v1alpha1.Layer2Status{
				Interfaces: []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"192.0.2.0/24"}}},
				Addresses:  []v1alpha1.Layer2Address{{IP: "192.0.2.1", Interfaces: []string{"eth0"}, Epoch: 1, Since: epoch}},
			},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: epoch}},
		}},
	}
}

func world() []runtime.Object {
	return append(node("n1"),
		pool("pool", "192.0.2.0/29"), service("old", "192.0.2.1"), service("new", ""), service("newer", ""),
		&v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}},
		&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "old-1", Labels: map[string]string{discoveryv1.LabelServiceName: "old"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{NodeName: new("n1")}},
		},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ControllerNamespace, Name: ControllerName},
			Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: epoch.Add(time.Hour)}}},
	)
}

func named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

func TestAStateIsWhatTheComponentsFind(t *testing.T) {
	s := Of(world()...)
	if !s.Time.Equal(epoch.Add(time.Hour)) {
		t.Errorf("it is of %s", s.Time)
	}
	state := s.State()
	if got := state.Answers[named("old")]; got.Refused != nil || got.Addresses[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%+v", got)
	}
	if got := state.Answers[named("new")]; got.Addresses[0] != netip.MustParseAddr("192.0.2.3") {
		t.Errorf("%+v", got)
	}
	if got := state.Announced.Condition(named("old")); got == nil || got.Message != "192.0.2.1 is announced by n1 on eth0 since 2026-01-01T00:00:00Z" {
		t.Errorf("%+v", got)
	}
	at := state.Announced.Address(s.Time, netip.MustParseAddr("192.0.2.1"))
	if at.Owner != "n1" || len(at.Layer2.Verdicts) != 1 || at.Claim == nil {
		t.Errorf("%+v", at)
	}
	if p := state.Pools["pool"]; !p.Ready || p.IPv4.Assigned != 1 { // those that wait have none
		t.Errorf("%+v", p)
	}
}

func TestWhatIfIsAskedOfAClone(t *testing.T) {
	s := Of(world()...)
	c := s.Clone()
	c.Nodes[0].Status.Conditions[0].Status = corev1.ConditionFalse
	if condition := c.State().Announced.Condition(named("old")); condition.Reason != v1alpha1.ReasonNoNode {
		t.Errorf("%+v", condition)
	}
	if condition := s.State().Announced.Condition(named("old")); condition.Reason != v1alpha1.ReasonAnnounced {
		t.Errorf("%+v", condition)
	}
}

func TestAKindThatMayNotBeReadIsNamed(t *testing.T) {
	var theirs, ours []runtime.Object
	for _, o := range world() {
		if gvks, _, err := Scheme.ObjectKinds(o); err == nil && gvks[0].Group == v1alpha1.SchemeGroupVersion.Group {
			ours = append(ours, o)
		} else {
			theirs = append(theirs, o)
		}
	}
	kube, clarion := fakeapi.Kube(theirs...), fakeapi.Clarion(ours...)
	fakeapi.Fail(&clarion.Fake, "list", "bgppeers", apierrors.NewForbidden(v1alpha1.Resource("bgppeers"), "", nil))
	s, err := Read(t.Context(), kube, clarion)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Unread) != 1 || s.Unread[0].Kind != "bgppeers.clarionlb.io" || len(s.Services) != 3 || len(s.Announcers) != 1 || len(s.Leases) != 1 {
		t.Errorf("%+v", s)
	}
	fakeapi.Fail(&kube.Fake, "list", "nodes", apierrors.NewInternalError(errors.New("broken")))
	if _, err := Read(t.Context(), kube, clarion); err == nil {
		t.Error("an API server that fails goes unnoticed")
	}
}

func TestWhatWasSavedIsReadAgain(t *testing.T) {
	s := Of(world()...)
	var saved []unstructured.Unstructured
	for _, o := range s.Objects() {
		gvks, _, err := Scheme.ObjectKinds(o)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		u := unstructured.Unstructured{Object: fields}
		u.SetGroupVersionKind(gvks[0])
		saved = append(saved, u)
	}
	again, err := Parse(saved)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Objects()) != len(s.Objects()) || !again.Time.Equal(s.Time) {
		t.Errorf("%+v", again)
	}
}

func TestTheFlagsOfTheProgramsCount(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ControllerNamespace, Name: "ccm", Labels: map[string]string{labelName: ControllerName}}}
	pod.Spec.Containers = []corev1.Container{{Args: []string{"--v=2", "--load-balancer-class=example.com/lb", "--require-load-balancer-class", "--ignore-exclude-label=false"}}}
	if got := Of(pod).State().Settings; got != (Settings{Scope: scope.Scope{Class: "example.com/lb", RequireClass: true}}) {
		t.Errorf("%+v", got)
	}
}

func TestObjectsAreFoundByName(t *testing.T) {
	event := func(kind, namespace, name string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: kind + name}, InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: name}}
	}
	state := Of(append(world(), event("Service", "default", "old"), event("Service", "shop", "old"), event("Node", "", "n1"))...).State()
	if s := state.Service(named("old")); s == nil || s.Name != "old" {
		t.Errorf("%v", s)
	}
	if slices := state.SlicesOf(named("old")); len(slices) != 1 || slices[0].Name != "old-1" {
		t.Errorf("%v", slices)
	}
	if state.Node("n1") == nil || state.Announcer("n1") == nil {
		t.Error("n1 is not found")
	}
	if got := len(state.EventsOn("Service", named("old"))); got != 1 {
		t.Errorf("%d events", got)
	}
	if got := len(state.EventsOn("Node", types.NamespacedName{Name: "n1"})); got != 1 {
		t.Errorf("%d events", got)
	}
	elsewhere := types.NamespacedName{Namespace: "shop", Name: "old"}
	if state.Service(elsewhere) != nil || state.SlicesOf(elsewhere) != nil || state.Node("old") != nil || state.Announcer("n2") != nil {
		t.Error("what is not there is found")
	}
}

func TestAStateFindsWhatItsOwnSnapshotHas(t *testing.T) {
	s := Of(world()...)
	before := s.State()
	after := s.Clone()
	after.Services = after.Services[:1]
	next := before.Next(after)
	if gone := named("old"); next.Service(gone) != nil || before.Service(gone) == nil {
		t.Error("objects of one moment are found in another")
	}
	if got := next.Service(NameOf(after.Services[0])); got != after.Services[0] {
		t.Errorf("%p is found, and not %p", got, after.Services[0])
	}
}
