package provider

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/component-base/metrics"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	controllermanager "k8s.io/controller-manager/app"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/provider/cloudconfig"
)

// The service controller of the framework logs much, and hides what a test has found.
func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// cluster is a Cloud over an API.
type cluster struct {
	*testing.T
	kube    *fake.Clientset
	clarion *clarionfake.Clientset
	cloud   *Cloud
	metrics metrics.KubeRegistry
	events  *record.FakeRecorder
	logged  *lines
	// stop ends the process.
	stop    context.CancelFunc
	ctx     context.Context
	elected chan struct{}
	scope   scope.Scope
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line)
}

func (l *lines) contain(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.text, func(line string) bool { return strings.Contains(line, part) })
}

func newCluster(t *testing.T, objects []runtime.Object) *cluster {
	c := &cluster{T: t, metrics: metrics.NewKubeRegistry(), events: record.NewFakeRecorder(1000), logged: &lines{}}
	c.renew()
	var ours, theirs []runtime.Object
	for _, object := range objects {
		switch object.(type) {
		case *v1alpha1.IPAddressPool, *v1alpha1.IPAddressReservation, *v1alpha1.Announcer, *v1alpha1.L2Advertisement, *v1alpha1.BGPPeer:
			ours = append(ours, object)
		default:
			theirs = append(theirs, object)
		}
	}
	c.kube, c.clarion = fakeapi.Kube(theirs...), fakeapi.Clarion(ours...)
	return c
}

// renew gets ready for another process.
func (c *cluster) renew() {
	c.elected = make(chan struct{})
	c.ctx, c.stop = context.WithCancel(c.Context())
}

// start runs a Cloud that stands by.
func (c *cluster) start() {
	shared := informers.NewSharedInformerFactory(c.kube, 0)
	c.cloud = New(Config{
		Informers: shared,
		Elected:   c.elected,
		Scope:     c.scope,
		Machines:  &cloudconfig.Config{},
		Events:    c.events,
		Metrics:   c.metrics,
		Logger:    funcr.New(c.logged.add, funcr.Options{}),
	})
	c.cloud.InitializeWith(c.kube, c.clarion, c.ctx.Done())
	c.cloud.SetInformers(shared)
	shared.Start(c.ctx.Done())
	settle()
}

func (c *cluster) elect() {
	close(c.elected)
	settle()
}

// withCluster runs a test with a Cloud over an API that has these objects, in a bubble of simulated
// time. It stands by after start.
func withCluster(t *testing.T, objects []runtime.Object, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objects)
		test(c)
		c.stop()
		// Workers of the framework notice the end of their context at their next tick.
		time.Sleep(time.Minute)
	})
}

// serve runs the standard service controller with the Cloud.
func (c *cluster) serve() {
	completed := (&config.Config{ClientBuilder: clients{c.kube}, SharedInformers: c.cloud.Informers}).Complete()
	completed.ComponentConfig.ServiceController.ConcurrentServiceSyncs = 2
	start := StartServiceController(app.ControllerInitContext{ClientName: "service-controller"}, completed, c.cloud)
	metrics := controllersmetrics.NewControllerManagerMetrics("test")
	if _, started, err := start(c.ctx, controllermanager.ControllerContext{ControllerManagerMetrics: metrics}); err != nil || !started {
		c.Fatalf("the service controller did not start: %v", err)
	}
	settle()
}

// clients is a cloudprovider.ControllerClientBuilder with one client.
type clients struct{ client kubernetes.Interface }

func (c clients) Config(string) (*rest.Config, error)         { return c.ConfigOrDie(""), nil }
func (clients) ConfigOrDie(string) *rest.Config               { return &rest.Config{} }
func (c clients) Client(string) (kubernetes.Interface, error) { return c.client, nil }
func (c clients) ClientOrDie(string) kubernetes.Interface     { return c.client }

var _ cloudprovider.ControllerClientBuilder = clients{}

// service returns a Service as the API has it.
func (c *cluster) service(name string) *corev1.Service {
	c.Helper()
	s, err := c.kube.CoreV1().Services("default").Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// change updates a Service, status and all.
func (c *cluster) change(name string, change func(*corev1.Service)) {
	c.Helper()
	s := c.service(name)
	change(s)
	if _, err := c.kube.CoreV1().Services("default").Update(c.ctx, s, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
	settle()
}

func (c *cluster) delete(name string) {
	c.Helper()
	if err := c.kube.CoreV1().Services("default").Delete(c.ctx, name, metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	settle()
}

// ensure has the Cloud serve a Service as its informers know it, and returns its addresses as text.
func (c *cluster) ensure(name string) (string, error) {
	c.Helper()
	s, err := c.cloud.Informers.Core().V1().Services().Lister().Services("default").Get(name)
	if err != nil {
		c.Fatal(err)
	}
	status, err := c.cloud.balancer.EnsureLoadBalancer(c.ctx, "", s, nil)
	return ingress(status), err
}

func ingress(status *corev1.LoadBalancerStatus) string {
	if status == nil {
		return ""
	}
	var addresses []string
	for _, i := range status.Ingress {
		addresses = append(addresses, i.IP)
	}
	return strings.Join(addresses, " ")
}

// assigned is the AddressAssigned condition of a Service: its status and its reason; "" without any.
func assigned(s *corev1.Service) string {
	condition := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

// told returns the events since the last call.
func (c *cluster) told() (events []string) {
	for {
		select {
		case event := <-c.events.Events:
			events = append(events, event)
		default:
			return events
		}
	}
}

// poolOf returns a pool with these addresses.
func poolOf(addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "pool", UID: "pool", Generation: 1}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
}

// web returns a Service as the API server makes it, with these addresses in its status.
func web(name string, addresses ...string) *corev1.Service {
	return service(name, func(s *corev1.Service) {
		s.UID = types.UID(name)
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
		s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
		s.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}
		for _, address := range addresses {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address, IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
		}
	})
}
