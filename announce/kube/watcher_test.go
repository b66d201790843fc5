package kube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

func init() {
	// The error handler that slows repeated errors down remembers when the last one was, in real time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
}

// watching runs a Watcher for node n1 of an API with some objects, in time of its own.
type watching struct {
	*Watcher
	kube    *fake.Clientset
	clarion *clarionfake.Clientset
}

func inAPI(t *testing.T, objects []runtime.Object, test func(t *testing.T, w *watching)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watching{kube: fake.NewClientset(), clarion: clarionfake.NewSimpleClientset()}
		for _, o := range objects {
			if err := w.add(o); err != nil {
				t.Fatal(err)
			}
		}
		w.Watcher = NewWatcher(w.kube, w.clarion, "n1")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		test(t, w)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// add puts an object into the API that it belongs to.
func (w *watching) add(o runtime.Object) error {
	switch o.(type) {
	case *corev1.Node, *corev1.Service, *corev1.Secret, *discoveryv1.EndpointSlice:
		return w.kube.Tracker().Add(o)
	}
	return w.clarion.Tracker().Add(o)
}

// next returns whether a Subscription has something to apply, and applies it.
func next(s *Subscription, view *plan.View) bool {
	synctest.Wait()
	select {
	case <-s.Changed():
		s.Apply(view)
		return true
	default:
		return false
	}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func node(name, address string) *corev1.Node {
	return &corev1.Node{ObjectMeta: named(name), Status: corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}},
	}}
}

func service(name, address string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}},
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address}}},
		},
	}
}

func endpoints(service string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{}},
	}
}

// claiming is an Announcer with a claim on an address.
func claiming(name, address string, epoch int64) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: named(name)}
	a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", MAC: "02:00:00:00:00:0" + name[1:], Prefixes: []string{"192.168.10.0/24"}}}
	if epoch > 0 {
		a.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{IP: address, Epoch: epoch, Interfaces: []string{"eth0"}}}
	}
	return a
}

var (
	address = netip.MustParseAddr("192.168.10.100")
	eth0    = plan.Interface{
		Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.10.0/24")},
		Routes: []plan.Route{{Prefix: netip.MustParsePrefix("192.168.10.0/24"), OnLink: true}},
	}
)

// everything is an API in which n1 has both protocols to speak.
func everything() []runtime.Object {
	return []runtime.Object{
		node("n1", "192.168.10.11"), node("n2", "192.168.10.12"), claiming("n1", "", 0), claiming("n2", "", 0),
		service("web", address.String()), endpoints("web"),
		&v1alpha1.IPAddressPool{ObjectMeta: named("pool"), Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.168.10.100-192.168.10.200"}}},
		&v1alpha1.L2Advertisement{ObjectMeta: named("all")},
		&v1alpha1.BGPAdvertisement{ObjectMeta: named("all"), Spec: v1alpha1.BGPAdvertisementSpec{Communities: []string{"blue"}}},
		&v1alpha1.Community{ObjectMeta: named("colours"), Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "blue", Value: "65000:1"}}}},
		&v1alpha1.BFDProfile{ObjectMeta: named("fast")},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PasswordNamespace, Name: "md5"}, Type: corev1.SecretTypeBasicAuth,
			Data: map[string][]byte{corev1.BasicAuthPasswordKey: []byte("secret")},
		},
		&v1alpha1.BGPPeer{ObjectMeta: named("tor"), Spec: v1alpha1.BGPPeerSpec{
			MyASN: 65001, PeerASN: new(int64(65002)), PeerAddress: "192.168.10.1", BFDProfile: "fast", PasswordSecret: &v1alpha1.BGPPasswordSecret{Name: "md5"},
		}},
	}
}

func TestLayer2GetsWhatItDependsOn(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		view := plan.NewView()
		if !w.Layer2.Wait(t.Context()) {
			t.Fatal("the first lists do not arrive")
		}
		w.Layer2.Apply(view)
		planner := plan.NewLayer2Planner(view, "n1")
		planner.SetAlive([]string{"n1"})
		planner.SetInterfaces([]plan.Interface{eth0})
		if todo := planner.Plan(time.Now()); len(todo.Probes[address]) != 1 {
			t.Errorf("n1 does not want the address: %+v", todo)
		}
		if n := w.Node("n2"); n == nil || len(n.Status.Addresses) != 1 {
			t.Errorf("Node n2 is %+v", n)
		}
		if w.Node("n3") != nil || w.Announcer("n3") != nil {
			t.Error("there is something of n3")
		}
		if a := w.Announcer("n2"); a == nil || len(a.Status.Layer2.Interfaces) != 1 {
			t.Errorf("Announcer n2 is %+v", a)
		}
	})
}

func TestBGPGetsWhatItDependsOn(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		view := plan.NewView()
		if !w.BGP.Wait(t.Context()) || !w.WaitAnnouncers(t.Context()) {
			t.Fatal("the first lists do not arrive")
		}
		w.BGP.Apply(view)
		todo := plan.NewBGPPlanner(view, "n1").Plan(time.Now())
		if len(todo.Refused) > 0 || len(todo.Peers) != 1 || len(todo.Routes) != 1 || len(todo.BFD) != 1 {
			t.Fatalf("n1 is to do %+v", todo)
		}
		for _, peer := range todo.Peers {
			if peer.Password != "secret" {
				t.Errorf("the peer is %+v", peer)
			}
		}
	})
}

func TestBGPGoesByTheSessionsOfOtherNodes(t *testing.T) {
	drained := node("n1", "192.168.10.11")
	drained.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
	inAPI(t, append(everything()[1:], drained), func(t *testing.T, w *watching) {
		view := plan.NewView()
		planner := plan.NewBGPPlanner(view, "n1")
		w.BGP.Wait(t.Context())
		next(w.BGP, view)
		if todo := planner.Plan(time.Now()); len(todo.Routes) != 1 {
			t.Errorf("while n2 has no session, n1 is to announce %+v", todo.Routes)
		}
		other := claiming("n2", "", 0)
		other.Status.BGP.Peers = []v1alpha1.BGPSession{{Name: "tor", State: v1alpha1.BGPEstablished}}
		if err := w.clarion.Tracker().Update(v1alpha1.SchemeGroupVersion.WithResource("announcers"), other, ""); err != nil {
			t.Fatal(err)
		}
		if !next(w.BGP, view) {
			t.Fatal("nothing was told")
		}
		planner.Plan(time.Now())
		if v := planner.Explain(address).Verdicts[0]; !v.Leaves {
			t.Errorf("with a session of n2's: %+v", v)
		}
	})
}

func TestChangesArriveTogether(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		view := plan.NewView()
		w.Layer2.Wait(t.Context())
		next(w.Layer2, view)
		for _, name := range []string{"dns", "mail"} {
			if err := w.add(service(name, "192.168.10.101")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.kube.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if !next(w.Layer2, view) || next(w.Layer2, view) {
			t.Error("they did not come as one change")
		}
		if len(view.ServicesOf(address)) != 0 || len(view.ServicesOf(netip.MustParseAddr("192.168.10.101"))) != 2 {
			t.Error("a change is missing")
		}
	})
}

// Names tell nothing about which claim was first, and nor does the order in which caches are read.
func TestOfTwoClaimsTheOneThatWasRecordedFirstHolds(t *testing.T) {
	for _, first := range []string{"n1", "n2"} {
		t.Run(first, func(t *testing.T) {
			inAPI(t, everything(), func(t *testing.T, w *watching) {
				view := plan.NewView()
				w.Layer2.Wait(t.Context())
				next(w.Layer2, view)
				planner := plan.NewLayer2Planner(view, "n1")
				planner.SetAlive([]string{"n1", "n2"})
				planner.SetInterfaces([]plan.Interface{eth0})
				planner.Plan(time.Now())
				names := []string{"n1", "n2"}
				if first == "n2" {
					slices.Reverse(names)
				}
				for _, name := range names {
					a := claiming(name, address.String(), 5)
					if _, err := w.clarion.ClarionV1alpha1().Announcers().UpdateStatus(t.Context(), a, metav1.UpdateOptions{}); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if !next(w.Layer2, view) || next(w.Layer2, view) {
					t.Fatal("they did not come as one change")
				}
				_, has := planner.Plan(time.Now()).Layer2[address]
				if has != (first == "n1") {
					t.Errorf("n1 has the address: %t", has)
				}
			})
		})
	}
}

func TestAnAnnouncerThatIsGoneHasNoClaims(t *testing.T) {
	inAPI(t, append(everything(), claiming("n3", "192.168.10.103", 1)), func(t *testing.T, w *watching) {
		view := plan.NewView()
		w.Layer2.Wait(t.Context())
		next(w.Layer2, view)
		if _, known := view.MACs()["02:00:00:00:00:03"]; !known {
			t.Fatal("n3 is not known")
		}
		if err := w.clarion.ClarionV1alpha1().Announcers().Delete(t.Context(), "n3", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if !next(w.Layer2, view) || w.Announcer("n3") != nil {
			t.Error("nothing was told")
		}
		if _, known := view.MACs()["02:00:00:00:00:03"]; known {
			t.Error("n3 is still known")
		}
	})
}

func TestAnObjectThatCannotBeReadConcernsNoOther(t *testing.T) {
	bad := v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "rack", Operator: "Near"}}}
	objects := append(everything(),
		&v1alpha1.L2Advertisement{ObjectMeta: named("bad"), Spec: v1alpha1.L2AdvertisementSpec{NodeSelectors: []v1alpha1.LabelSelector{bad}}},
		&v1alpha1.BGPPeer{ObjectMeta: named("bad"), Spec: v1alpha1.BGPPeerSpec{NodeSelectors: []v1alpha1.LabelSelector{bad}}})
	inAPI(t, objects, func(t *testing.T, w *watching) {
		view := plan.NewView()
		w.BGP.Wait(t.Context())
		w.BGP.Apply(view)
		if todo := plan.NewBGPPlanner(view, "n1").Plan(time.Now()); len(todo.Peers) != 1 {
			t.Errorf("n1 is to speak with %+v", todo.Peers)
		}
		w.Layer2.Wait(t.Context())
		w.Layer2.Apply(view)
	})
}

func TestAStatusThatIsWrittenHasNothingPlannedAnew(t *testing.T) {
	object := func(change func(*v1alpha1.BGPPeer)) *v1alpha1.BGPPeer {
		p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor", UID: "1", Generation: 3, Labels: map[string]string{"rack": "a"}}}
		change(p)
		return p
	}
	before := object(func(*v1alpha1.BGPPeer) {})
	for name, tt := range map[string]struct {
		change func(*v1alpha1.BGPPeer)
		want   bool
	}{
		"status": {func(p *v1alpha1.BGPPeer) { p.ResourceVersion, p.Status.Established = "2", 5 }, false},
		"the spec, recorded as the last good one": {func(p *v1alpha1.BGPPeer) { p.Status.AppliedSpec = p.Spec.DeepCopy() }, false},
		"an older one, recorded as that":          {func(p *v1alpha1.BGPPeer) { p.Status.AppliedSpec = &v1alpha1.BGPPeerSpec{MyASN: 65003} }, true},
		"annotations":                             {func(p *v1alpha1.BGPPeer) { p.Annotations = map[string]string{"note": "x"} }, false},
		"spec":                                    {func(p *v1alpha1.BGPPeer) { p.Generation, p.Spec.MyASN = 4, 65002 }, true},
		"labels":                                  {func(p *v1alpha1.BGPPeer) { p.Labels = map[string]string{"rack": "b"} }, true},
		"another one":                             {func(p *v1alpha1.BGPPeer) { p.UID = "2" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			after := object(tt.change)
			inAPI(t, []runtime.Object{before.DeepCopy()}, func(t *testing.T, w *watching) {
				view := plan.NewView()
				w.BGP.Wait(t.Context())
				next(w.BGP, view)
				if err := w.clarion.Tracker().Update(v1alpha1.SchemeGroupVersion.WithResource("bgppeers"), after, ""); err != nil {
					t.Fatal(err)
				}
				if got := next(w.BGP, view); got != tt.want {
					t.Errorf("it is told: %t", got)
				}
			})
		})
	}
}

func TestWhatCannotBeReadIsToldUntilItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube, clarion := fakeapi.Kube(), fakeapi.Clarion()
		forbidden := errors.New("forbidden")
		endpoints := fakeapi.Fail(&kube.Fake, "list", "endpointslices", forbidden)
		communities := fakeapi.Fail(&clarion.Fake, "list", "communities", forbidden)
		w := NewWatcher(kube, clarion, "n1")
		var told []string
		w.OnUnread(func(err error) { told = append(told, err.Error()) })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = w.Run(ctx) })
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if fmt.Sprint(told) != fmt.Sprint(want) {
				t.Errorf("told %q, not %q", told, want)
			}
			told = nil
		}
		const both = "Communities cannot be read: failed to list *v1alpha1.Community: forbidden\nEndpointSlices cannot be read: forbidden"
		expect(unreadInterval / 2)
		if err := w.Problem(); err == nil || err.Error() != both {
			t.Errorf("the problem is %v", err)
		}
		expect(unreadInterval, both)
		const retried = 5 * time.Minute // a reflector that fails waits for a minute at most
		expect(answerReminder - retried)
		communities.Set(nil)
		expect(retried+time.Minute, "EndpointSlices cannot be read: forbidden")
		endpoints.Set(nil)
		expect(2 * answerReminder)
		if err := w.Problem(); err != nil {
			t.Errorf("when all is read: %v", err)
		}
		cancel()
		running.Wait()
	})
}

func TestNothingIsWaitedForAfterTheEnd(t *testing.T) {
	w := NewWatcher(fake.NewClientset(), clarionfake.NewSimpleClientset(), "n1")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over"))
	if w.Layer2.Wait(ctx) || w.WaitAnnouncers(ctx) {
		t.Error("a Watcher that does not run has everything")
	}
}
