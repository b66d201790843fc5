package provider

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	cloudprovider "k8s.io/cloud-provider"
	servicecontroller "k8s.io/cloud-provider/controllers/service"
	fakecloud "k8s.io/cloud-provider/fake"
	servicehelpers "k8s.io/cloud-provider/service/helpers"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// recorder is a load balancer that notes which Services it is asked about.
type recorder struct {
	cloudprovider.LoadBalancer
	ensured, updated, deleted []string
	refuse                    error
}

func (r *recorder) GetLoadBalancer(context.Context, string, *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	return &corev1.LoadBalancerStatus{}, true, nil
}

func (r *recorder) EnsureLoadBalancer(_ context.Context, _ string, service *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	r.ensured = append(r.ensured, service.Name)
	return &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}, r.refuse
}

func (r *recorder) UpdateLoadBalancer(_ context.Context, _ string, service *corev1.Service, _ []*corev1.Node) error {
	r.updated = append(r.updated, service.Name)
	return nil
}

func (r *recorder) EnsureLoadBalancerDeleted(_ context.Context, _ string, service *corev1.Service) error {
	r.deleted = append(r.deleted, service.Name)
	return nil
}

// recorderCloud is a cloud provider with nothing but a recorder.
type recorderCloud struct {
	fakecloud.Cloud
	recorder *recorder
}

func (c *recorderCloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return c.recorder, true }

func init() {
	// The error handler that slows repeated errors down remembers when the last one was, in real time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
}

// withServiceController runs the standard service controller, fed by a serviceFeed, in a bubble of
// simulated time.
func withServiceController(t *testing.T, recorder *recorder, objects []*corev1.Service, test func(t *testing.T, client *fake.Clientset, feed *serviceFeed)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := fake.NewClientset()
		for _, object := range objects {
			if _, err := client.CoreV1().Services(object.Namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		shared := informers.NewSharedInformerFactory(client, 0)
		feed := newServiceFeed(shared.Core().V1().Services(), scope.Scope{})
		controller, err := servicecontroller.New(&recorderCloud{recorder: recorder}, client, feed, quietNodes{shared.Core().V1().Nodes()}, "", utilfeature.DefaultFeatureGate)
		if err != nil {
			t.Fatal(err)
		}
		shared.Start(ctx.Done())
		done := make(chan struct{})
		go func() {
			defer close(done)
			controller.Run(ctx, 1, controllersmetrics.NewControllerManagerMetrics("test"))
		}()
		settle()
		test(t, client, feed)
		cancel()
		<-done
		shared.Shutdown()
		// Workers of the framework notice the end of their context at their next tick.
		time.Sleep(time.Minute)
	})
}

// settle lets everything happen that is due now. The informers poll their caches' sync every 100 ms
// of simulated time. What waits for a second, as the Announced condition of a new Service does, is
// not due yet.
func settle() {
	time.Sleep(900 * time.Millisecond)
	synctest.Wait()
}

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

func TestServicesOfNoClassAndOfOursAreServedAndForeignOnesAreNeverTouched(t *testing.T) {
	foreign := func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("example.com/other") }
	r := &recorder{}
	withServiceController(t, r, []*corev1.Service{
		service("classless", nil),
		service("ours", func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To(v1alpha1.LoadBalancerClass) }),
		service("foreign", foreign),
		service("foreign-deleted", func(s *corev1.Service) {
			foreign(s)
			s.Finalizers = []string{servicehelpers.LoadBalancerCleanupFinalizer}
			s.DeletionTimestamp = ptr.To(metav1.Now())
		}),
	}, func(t *testing.T, client *fake.Clientset, _ *serviceFeed) {
		if got := toSet(r.ensured); len(r.ensured) != 2 || !got["classless"] || !got["ours"] {
			t.Errorf("ensured %v, want classless and ours, each once", r.ensured)
		}
		if len(r.deleted) != 0 {
			t.Errorf("deleted %v, want none", r.deleted)
		}
		ours, err := client.CoreV1().Services("default").Get(t.Context(), "ours", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if class := ptr.Deref(ours.Spec.LoadBalancerClass, ""); class != v1alpha1.LoadBalancerClass {
			t.Errorf("the class in the API is %q after the controller's writes, want %q", class, v1alpha1.LoadBalancerClass)
		}
		if len(ours.Status.LoadBalancer.Ingress) != 1 || len(ours.Finalizers) > 0 {
			t.Errorf("got status %v and finalizers %v, want an address, and the finalizer to be left to who writes the answer", ours.Status.LoadBalancer, ours.Finalizers)
		}
	})
}

func TestARequeuedServiceIsServedAgainAtOnceWithoutAWrite(t *testing.T) {
	r := &recorder{refuse: errors.New("no address")}
	withServiceController(t, r, []*corev1.Service{
		service("waiting", nil),
		service("other", nil),
		service("foreign", func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("example.com/other") }),
	}, func(t *testing.T, client *fake.Clientset, feed *serviceFeed) {
		r.refuse, r.ensured = nil, nil
		feed.requeue(types.NamespacedName{Namespace: "default", Name: "waiting"}, types.NamespacedName{Namespace: "default", Name: "foreign"}, types.NamespacedName{Namespace: "default", Name: "gone"})
		settle() // less than the 5 s of the controller's first back-off
		if len(r.ensured) != 1 || r.ensured[0] != "waiting" {
			t.Errorf("ensured %v after it was requeued, want waiting alone", r.ensured)
		}
		served, err := client.CoreV1().Services("default").Get(t.Context(), "waiting", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, found := served.Annotations[requeueAnnotation]; found {
			t.Error("the annotation reached the API")
		}
	})
}

func TestNodesComingAndGoingDisturbNoService(t *testing.T) {
	r := &recorder{}
	withServiceController(t, r, []*corev1.Service{service("a", nil)}, func(t *testing.T, client *fake.Clientset, _ *serviceFeed) {
		r.ensured = nil
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := client.CoreV1().Nodes().Delete(t.Context(), "node", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if len(r.ensured)+len(r.updated) != 0 {
			t.Errorf("ensured %v and updated %v, want none", r.ensured, r.updated)
		}
	})
}

func toSet(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}
