package pools

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/loadbalancer"
)

// world is a Controller over an API.
type world struct {
	*testing.T
	ctx       context.Context
	kube      *fake.Clientset
	clarion   *clarionfake.Clientset
	allocator *loadbalancer.Allocator
	*Controller

	mu       sync.Mutex
	requeued []types.NamespacedName
	logged   []string // errors
	changes  int      // of conditions that are logged
}

// settle lets everything happen that is due now, statuses among it.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func withController(t *testing.T, theirs, ours []runtime.Object, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, kube: fakeapi.Kube(theirs...), clarion: fakeapi.Clarion(ours...), allocator: loadbalancer.New()}
		ctx, cancel := context.WithCancel(t.Context())
		w.ctx = klog.NewContext(ctx, funcr.New(func(_, line string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if strings.Contains(line, `"error"=`) {
				w.logged = append(w.logged, line)
			}
			if strings.Contains(line, "A condition has changed") {
				w.changes++
			}
		}, funcr.Options{}))
		kube, clarion := informers.NewSharedInformerFactory(w.kube, 0), clarioninformers.NewSharedInformerFactory(w.clarion, 0)
		w.Controller = New(Config{Kube: kube, KubeClient: w.kube, Clarion: clarion, Client: w.clarion, Allocator: w.allocator, Requeue: func(services ...types.NamespacedName) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requeued = append(w.requeued, services...)
		}})
		kube.Start(ctx.Done())
		clarion.Start(ctx.Done())
		if !w.WaitForSync(ctx) {
			t.Fatal("the informers do not deliver")
		}
		w.Sync()
		go w.Controller.Run(w.ctx)
		settle()
		test(w)
		cancel()
		time.Sleep(time.Minute)
	})
}

func (w *world) pool() *v1alpha1.IPAddressPool {
	w.Helper()
	p, err := w.clarion.ClarionV1alpha1().IPAddressPools().Get(w.ctx, "pool", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// ready is the reason and the message of a Ready condition.
func ready(conditions []metav1.Condition) string {
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason + ": " + c.Message
	}
	return ""
}

// ensure has the allocator serve a Service, and tells the Controller.
func (w *world) ensure(name string, change func(*corev1.Service)) error {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	if change != nil {
		change(s)
	}
	request, err := loadbalancer.NewRequest(s)
	if err != nil {
		w.Fatal(err)
	}
	_, err = w.allocator.Ensure(time.Now(), request)
	w.CountsChanged()
	return err
}

func poolOf(addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "pool", UID: "pool", Generation: 1}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
}

func TestAPoolSaysWhatItHolds(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		p := w.pool()
		if got := ready(p.Status.Conditions); got[:6] != "Valid:" || p.Status.IPv4 == nil || p.Status.IPv4.Total != 4 || p.Status.IPv4.Assigned != 0 {
			t.Errorf("%s, %v", got, p.Status.IPv4)
		}
		before := fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools")
		for _, name := range []string{"a", "b", "c"} {
			if err := w.ensure(name, nil); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		if p = w.pool(); p.Status.IPv4.Assigned != 3 || p.Status.IPv4.Available != 1 {
			t.Errorf("after three Services it has %v", p.Status.IPv4)
		}
		if n := fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools") - before; n > 2 {
			t.Errorf("three Services at once cost %d writes", n)
		}
		w.CountsChanged()
		before = fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools")
		settle()
		if n := fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools"); n != before {
			t.Error("it is written to although nothing has changed")
		}
	})
}

func TestCountsThatAlwaysChangeAreWrittenOnceASecond(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("10.0.0.0/16")}, func(w *world) {
		before := fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools")
		const seconds, each = 60, 20
		for i := range seconds * each {
			if err := w.ensure(strconv.Itoa(i), nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / each)
		}
		if n := fakeapi.Count(&w.clarion.Fake, "update", "ipaddresspools") - before; n > seconds*statusRate+statusBurst {
			t.Errorf("%d Services in %d s cost %d writes", seconds*each, seconds, n)
		}
		settle()
		if got := w.pool().Status.IPv4.Assigned; got != seconds*each {
			t.Errorf("in the end it has %d assigned", got)
		}
	})
}

func TestAStatusIsWrittenAgainUntilItIsWritten(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		updates := fakeapi.Fail(&w.clarion.Fake, "update", "ipaddresspools", errors.New("read only"))
		if err := w.ensure("a", nil); err != nil {
			t.Fatal(err)
		}
		settle()
		if len(w.logged) == 0 {
			t.Error("nobody hears of the error")
		}
		updates.Set(nil)
		settle()
		if p := w.pool(); p.Status.IPv4.Assigned != 1 {
			t.Errorf("it says that %d are assigned", p.Status.IPv4.Assigned)
		}
	})
}

func TestAStatusThatConflictsIsWrittenOnTheNewerVersion(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		// The operator's change and the count come at once.
		p := w.pool()
		p.Spec.Addresses, p.Generation = []string{"192.0.2.0/29"}, 2
		if _, err := w.clarion.ClarionV1alpha1().IPAddressPools().Update(w.ctx, p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := w.ensure("a", nil); err != nil {
			t.Fatal(err)
		}
		settle()
		settle()
		p = w.pool()
		condition := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if p.Status.IPv4.Total != 8 || p.Status.IPv4.Assigned != 1 || condition.ObservedGeneration != 2 || len(w.logged) != 0 {
			t.Errorf("got %v, generation %d, logged %q", p.Status.IPv4, condition.ObservedGeneration, w.logged)
		}
	})
}

func TestServicesAreRequeuedWhenTheyMayGetMore(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/32")}, func(w *world) {
		if err := w.ensure("a", nil); err != nil {
			t.Fatal(err)
		}
		if err := w.ensure("b", nil); err == nil {
			t.Fatal("there are two addresses")
		}
		p := w.pool()
		p.Spec.Addresses, p.Generation = []string{"192.0.2.0/31"}, 2
		if _, err := w.clarion.ClarionV1alpha1().IPAddressPools().Update(w.ctx, p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if want := []types.NamespacedName{{Namespace: "default", Name: "b"}}; !slices.Equal(w.requeued, want) {
			t.Errorf("requeued %v", w.requeued)
		}
	})
}

func TestWhatTheClusterUsesIsNotHandedOut(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"192.0.2.0/28"}}}
	withController(t, []runtime.Object{node, cidr}, []runtime.Object{poolOf("192.0.2.0/32")}, func(w *world) {
		if got := ready(w.pool().Status.Conditions); !strings.Contains(got, "the cluster's Service CIDR") {
			t.Errorf("the pool does not say what else its addresses are used for: %s", got)
		}
		node := node.DeepCopy()
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.0"}}
		if _, err := w.kube.CoreV1().Nodes().Update(w.ctx, node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("a", nil); err == nil {
			t.Error("a Service has the address of a node")
		}
		if err := w.kube.CoreV1().Nodes().Delete(w.ctx, "n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("a", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatAServiceHasFromOthersIsNotHandedOut(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"an external IP": func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.0"} },
		"an address of another load balancer": func(s *corev1.Service) {
			s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, new("example.com/other")
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.0"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withController(t, nil, []runtime.Object{poolOf("192.0.2.0/32")}, func(w *world) {
				other := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}}
				change(other)
				services := w.kube.CoreV1().Services("shop")
				if _, err := services.Create(w.ctx, other, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				settle()
				if err := w.ensure("a", nil); err == nil {
					t.Error("a Service has the address of another one")
				}
				without := other.DeepCopy()
				without.Spec.ExternalIPs, without.Status = nil, corev1.ServiceStatus{}
				if _, err := services.Update(w.ctx, without, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				settle()
				if err := w.ensure("a", nil); err != nil {
					t.Errorf("the other one has it no more: %v", err)
				}
				w.allocator.Release(time.Now(), types.NamespacedName{Namespace: "default", Name: "a"}, "a")
				if _, err := services.Update(w.ctx, other, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				settle()
				if err := w.ensure("a", nil); err == nil {
					t.Error("a Service has an address that another one has again")
				}
				if err := services.Delete(w.ctx, "other", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				settle()
				if err := w.ensure("a", nil); err != nil {
					t.Errorf("the other one is gone: %v", err)
				}
			})
		})
	}
}

func TestAChangeOfAConditionIsLoggedOnceItIsWritten(t *testing.T) {
	reservation := &v1alpha1.IPAddressReservation{
		ObjectMeta: metav1.ObjectMeta{Name: "kept", UID: "kept", Generation: 1},
		Spec:       v1alpha1.IPAddressReservationSpec{Addresses: []string{"192.0.2.0"}},
	}
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30"), reservation}, func(w *world) {
		changes := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			n := w.changes
			w.changes = 0
			return n
		}
		if n := changes(); n != 2 {
			t.Errorf("of a pool and a reservation %d changes are logged", n)
		}
		pools, reservations := fakeapi.Fail(&w.clarion.Fake, "update", "ipaddresspools", nil), fakeapi.Fail(&w.clarion.Fake, "update", "ipaddressreservations", nil)
		pool, wrong := w.pool(), reservation.DeepCopy()
		pool.Spec.Addresses, pool.Generation = []string{"nonsense"}, 2
		wrong.Spec.Addresses, wrong.Generation = []string{"nonsense"}, 2
		if _, err := w.clarion.ClarionV1alpha1().IPAddressPools().Update(w.ctx, pool, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.clarion.ClarionV1alpha1().IPAddressReservations().Update(w.ctx, wrong, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pools.Set(errors.New("read only"))
		reservations.Set(errors.New("read only"))
		settle()
		if n := changes(); n != 0 {
			t.Errorf("%d changes are logged that could not be written", n)
		}
		pools.Set(nil)
		reservations.Set(nil)
		time.Sleep(time.Minute)
		settle()
		if n := changes(); n != 2 {
			t.Errorf("%d changes are logged that are written", n)
		}
	})
}

func TestWhoMayHaveAnAddressFollowsTheLabelsOfNamespaces(t *testing.T) {
	pool := poolOf("192.0.2.0/30")
	pool.Spec.ServiceAllocation = &v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}}}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	withController(t, []runtime.Object{namespace}, []runtime.Object{pool}, func(w *world) {
		if err := w.ensure("a", nil); err == nil {
			t.Error("the namespace has no label yet")
		}
		namespace := namespace.DeepCopy()
		namespace.Labels = map[string]string{"team": "shop"}
		if _, err := w.kube.CoreV1().Namespaces().Update(w.ctx, namespace, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("a", nil); err != nil {
			t.Error(err)
		}
		if err := w.kube.CoreV1().Namespaces().Delete(w.ctx, "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("b", nil); err == nil {
			t.Error("the namespace is gone")
		}
	})
}

func TestAReservationSaysForWhomItKeepsWhat(t *testing.T) {
	reservation := &v1alpha1.IPAddressReservation{
		ObjectMeta: metav1.ObjectMeta{Name: "front", UID: "front", Generation: 1},
		Spec:       v1alpha1.IPAddressReservationSpec{Addresses: []string{"192.0.2.0"}, Service: &v1alpha1.ServiceReference{Namespace: "shop", Name: "front"}},
	}
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/32"), reservation}, func(w *world) {
		api := w.clarion.ClarionV1alpha1().IPAddressReservations()
		r, err := api.Get(w.ctx, "front", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ready(r.Status.Conditions); got != "Valid: 192.0.2.0 kept for Service shop/front" {
			t.Error(got)
		}
		if err := w.ensure("a", nil); err == nil {
			t.Error("another Service has the address")
		}
		if err := api.Delete(w.ctx, "front", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("a", nil); err != nil {
			t.Error(err)
		}
	})
}

// update changes the pool as its author does, or the API server.
func (w *world) update(change func(*v1alpha1.IPAddressPool)) {
	w.Helper()
	p := w.pool()
	change(p)
	p.Generation++
	if _, err := w.clarion.ClarionV1alpha1().IPAddressPools().Update(w.ctx, p, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	settle()
}

func TestAPoolRecordsItsLastGoodVersion(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		w.update(func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{"192.0.2.300"} })
		p := w.pool()
		if got := ready(p.Status.Conditions); !strings.HasPrefix(got, `InvalidAddress: spec.exclude: "192.0.2.300"`) {
			t.Errorf("it says %s", got)
		}
		if spec := p.Status.AppliedSpec; spec == nil || !slices.Equal(spec.Addresses, []string{"192.0.2.0/30"}) || spec.Exclude != nil {
			t.Errorf("it records %v", spec)
		}
		if err := w.ensure("a", nil); err != nil {
			t.Error(err)
		}
		w.update(func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{"192.0.2.3"} })
		if spec := w.pool().Status.AppliedSpec; spec == nil || !slices.Equal(spec.Exclude, []string{"192.0.2.3"}) {
			t.Errorf("it records %v", spec)
		}
	})
}

func TestAPoolSaysWhichNamespacesThereAreNot(t *testing.T) {
	pool := poolOf("192.0.2.0/30")
	pool.Spec.ServiceAllocation = &v1alpha1.ServiceAllocation{Namespaces: []string{"shpo"}}
	withController(t, nil, []runtime.Object{pool}, func(w *world) {
		if got := ready(w.pool().Status.Conditions); got != `Valid: spec.serviceAllocation.namespaces: there is no namespace "shpo"` {
			t.Errorf("it says %s", got)
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shpo"}}
		if _, err := w.kube.CoreV1().Namespaces().Create(w.ctx, namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := ready(w.pool().Status.Conditions); got != "Valid: the pool is in use" {
			t.Errorf("it says %s", got)
		}
	})
}

func TestAPoolIsNotDeletedUnderServices(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		w.update(func(p *v1alpha1.IPAddressPool) { p.Finalizers = []string{"example.com/theirs"} })
		if got := w.pool().Finalizers; len(got) != 1 {
			t.Errorf("a pool that nobody uses has the finalizers %v", got)
		}
		if err := w.ensure("a", nil); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := w.pool().Finalizers; !slices.Equal(got, []string{"example.com/theirs", v1alpha1.FinalizerPoolInUse}) {
			t.Errorf("a pool that a Service uses has the finalizers %v", got)
		}
		w.update(func(p *v1alpha1.IPAddressPool) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
		if got := ready(w.pool().Status.Conditions); !strings.HasPrefix(got, "Deleting: ") || !strings.HasSuffix(got, ": default/a") {
			t.Errorf("it says %s", got)
		}
		if err := w.ensure("b", nil); err == nil {
			t.Error("it hands out an address")
		}
		w.allocator.Release(time.Now(), types.NamespacedName{Namespace: "default", Name: "a"}, "")
		w.CountsChanged()
		settle()
		if got := w.pool().Finalizers; !slices.Equal(got, []string{"example.com/theirs"}) {
			t.Errorf("a pool that nobody uses any more has the finalizers %v", got)
		}
	})
}

func TestPoolsThatOverlapRecordWhoseAddressesTheyAre(t *testing.T) {
	other := poolOf("192.0.2.2-192.0.2.9")
	other.Name, other.UID = "z-other", "other"
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30"), other}, func(w *world) {
		z, err := w.clarion.ClarionV1alpha1().IPAddressPools().Get(w.ctx, "z-other", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := []v1alpha1.ContestedAddresses{{Addresses: "192.0.2.2-192.0.2.3", Pool: "pool"}}; !slices.Equal(z.Status.Contested, want) || z.Status.IPv4.Total != 6 {
			t.Errorf("it leaves %v to others and has %v", z.Status.Contested, z.Status.IPv4)
		}
		if got := ready(z.Status.Conditions); !strings.HasPrefix(got, "Overlaps: 192.0.2.2-192.0.2.3 ") {
			t.Errorf("it says %s", got)
		}
		if got := ready(w.pool().Status.Conditions); !strings.HasPrefix(got, "Valid: 192.0.2.2-192.0.2.3 ") {
			t.Errorf("the other says %s", got)
		}
	})
}

func TestAnAddressThatAwaitsItsReuseIsRecordedAndGivenToWhoWaitsWhenThatIsOver(t *testing.T) {
	withController(t, nil, []runtime.Object{poolOf("192.0.2.0/30")}, func(w *world) {
		wants := func(namespace string) func(*corev1.Service) {
			return func(s *corev1.Service) { s.Namespace, s.Spec.LoadBalancerIP = namespace, "192.0.2.2" }
		}
		if err := w.ensure("a", wants("default")); err != nil {
			t.Fatal(err)
		}
		freed := time.Now()
		w.allocator.Release(freed, types.NamespacedName{Namespace: "default", Name: "a"}, "")
		w.CountsChanged()
		settle()
		// Rounded up, as a status has no fractions of a second.
		until := metav1.NewTime(freed.Add(31 * time.Second).Truncate(time.Second))
		want := v1alpha1.AddressAwaitingReuse{Address: "192.0.2.2", Namespace: "default", Service: "a", Until: until}
		if got := w.pool().Status.AwaitingReuse; len(got) != 1 || got[0].Address != want.Address || got[0].Service != want.Service ||
			got[0].Namespace != want.Namespace || !got[0].Until.Equal(&want.Until) {
			t.Errorf("recorded %v, want %v", got, want)
		}
		if err := w.ensure("b", wants("other")); err == nil {
			t.Error("another namespace is given it at once")
		}
		w.mu.Lock()
		w.requeued = nil
		w.mu.Unlock()
		time.Sleep(time.Until(freed.Add(30 * time.Second)))
		settle()
		w.mu.Lock()
		if !slices.Equal(w.requeued, []types.NamespacedName{{Namespace: "other", Name: "b"}}) {
			t.Errorf("when the time is over %v is requeued", w.requeued)
		}
		w.mu.Unlock()
		if got := w.pool().Status.AwaitingReuse; len(got) > 0 {
			t.Errorf("still recorded: %v", got)
		}
		if err := w.ensure("b", wants("other")); err != nil {
			t.Error(err)
		}
	})
}
