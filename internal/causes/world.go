package causes

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/component-base/metrics"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	controllermanager "k8s.io/controller-manager/app"

	announcers "github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/api/v1alpha1"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/provider"
	"github.com/clarionlb/clarion/provider/cloudconfig"
)

func init() {
	// The error handler that slows repeated errors down remembers when the last one was, in real time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
}

// World is a Cluster with the programs at work.
type World struct {
	*testing.T
	cluster *Cluster
	ctx     context.Context
	kube    *fake.Clientset
	clarion *clarionfake.Clientset
	events  *recorder
	cloud   *provider.Cloud
}

// Healthy is a cluster in which all is well, as Produce has it of a cause.
func Healthy(t *testing.T, routed bool) *Found {
	return Produce(t, Cause{Routed: routed, Break: func(*Cluster) {}})
}

// Produce has the programs meet a cause, until nothing changes any more, in simulated time.
func Produce(t *testing.T, cause Cause) (found *Found) {
	synctest.Test(t, func(t *testing.T) {
		c := healthy(cause.Routed)
		cause.Break(c)
		ctx, stop := context.WithCancel(t.Context())
		w := newWorld(ctx, t, c)
		w.forbid(c.Forbidden...)
		if !c.NoController {
			w.startController()
		}
		if c.NoController || c.RenewsLease {
			w.startUnanswered()
		}
		if c.RenewsLease {
			go w.renewLease()
		}
		w.settle()
		if cause.Then != nil {
			cause.Then(w)
			w.settle()
		}
		found = w.found()
		stop()
		// Workers of the framework notice the end of their context at their next tick.
		time.Sleep(time.Minute)
	})
	return found
}

func newWorld(ctx context.Context, t *testing.T, c *Cluster) *World {
	w := &World{T: t, cluster: c, ctx: ctx, events: &recorder{}}
	var ours, theirs []runtime.Object
	for _, o := range c.Objects {
		o.(object).SetCreationTimestamp(metav1.Now())
		if isOurs(o) {
			ours = append(ours, o)
		} else {
			theirs = append(theirs, o)
		}
	}
	change(c, func(a *v1alpha1.Announcer) {
		for i := range a.Status.Conditions {
			a.Status.Conditions[i].LastTransitionTime = metav1.Now()
		}
	})
	w.kube, w.clarion = fakeapi.Kube(theirs...), fakeapi.Clarion(ours...)
	return w
}

func isOurs(o runtime.Object) bool {
	switch o.(type) {
	case *coordinationv1.Lease, *corev1.Namespace, *corev1.Node, *corev1.Pod, *corev1.Service, *corev1.Secret, *corev1.Event, *discoveryv1.EndpointSlice:
		return false
	}
	return true
}

// startController starts the cloud-controller-manager's part in Services, and has it elected.
func (w *World) startController() {
	shared, elected := informers.NewSharedInformerFactory(w.kube, 0), make(chan struct{})
	cloud := provider.New(provider.Config{
		Informers: shared,
		Elected:   elected,
		Machines:  &cloudconfig.Config{},
		Events:    w.events,
		Metrics:   metrics.NewKubeRegistry(),
		Logger:    logr.Discard(),
	})
	w.cloud = cloud
	cloud.InitializeWith(w.kube, w.clarion, w.ctx.Done())
	cloud.SetInformers(shared)
	completed := (&config.Config{ClientBuilder: clients{w.kube}, SharedInformers: shared}).Complete()
	completed.ComponentConfig.ServiceController.ConcurrentServiceSyncs = 2
	start := provider.StartServiceController(app.ControllerInitContext{ClientName: "service-controller"}, completed, cloud)
	shared.Start(w.ctx.Done())
	w.wait(time.Second)
	close(elected)
	w.wait(time.Second)
	measured := controllermanager.ControllerContext{ControllerManagerMetrics: controllersmetrics.NewControllerManagerMetrics("causes")}
	if _, started, err := start(w.ctx, measured); err != nil || !started {
		w.Fatalf("the service controller did not start: %v", err)
	}
}

// forbid has nobody have these rights from now on.
func (w *World) forbid(forbidden ...Access) {
	for _, access := range forbidden {
		cannot := fmt.Errorf("cannot %s resource %q", access.Verb, access.Resource)
		err := apierrors.NewForbidden(schema.GroupResource{Resource: access.Resource}, "", cannot)
		fakeapi.Fail(&w.kube.Fake, access.Verb, access.Resource, err)
	}
}

// startWatching starts what the announcer of a node reads.
func (w *World) startWatching(node string) {
	watcher := announcers.NewWatcher(w.kube, w.clarion, node)
	events := announcers.NewEvents(w.kube, watcher, node, logr.Discard())
	watcher.OnUnread(events.CannotRead)
	events.Start()
	context.AfterFunc(w.ctx, events.Stop)
	go func() { _ = watcher.Run(w.ctx) }() // it does not fail
}

// startUnanswered starts what an announcer does while no cloud-controller-manager answers.
func (w *World) startUnanswered() {
	services := func() []*corev1.Service { return of[*corev1.Service](w.objects()) }
	tell := func(service *corev1.Service, text string) {
		w.events.Event(service, corev1.EventTypeWarning, "NotAnswered", text)
	}
	go announcers.NewUnanswered(w.kube, services, tell, "").Run(w.ctx, func() bool { return true })
}

// renewLease has the Lease of the cloud-controller-manager renewed for as long as the World lasts.
func (w *World) renewLease() {
	for w.ctx.Err() == nil {
		edit(w, v1alpha1.ControllerLease, func(l *coordinationv1.Lease) {
			l.Spec.RenewTime = new(metav1.NowMicro())
			if w.cloud == nil {
				return
			}
			if err := w.cloud.Problem(); err != nil { // as the leader election does
				l.Annotations = map[string]string{v1alpha1.AnnotationProblem: err.Error()}
			}
		})
		time.Sleep(2 * time.Second)
	}
}

// wait lets time pass and everything happen that is due then.
func (w *World) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// settle has the programs answer one another.
func (w *World) settle() {
	w.wait(4 * time.Second) // longer than a probe is waited for, and shorter than it takes until a Service says Pending
	w.playAnnouncers()
	w.wait(30 * time.Second) // longer than conditions are held back
}

// clients is a cloudprovider.ControllerClientBuilder with one client.
type clients struct{ client kubernetes.Interface }

func (c clients) Config(string) (*rest.Config, error)         { return c.ConfigOrDie(""), nil }
func (clients) ConfigOrDie(string) *rest.Config               { return &rest.Config{} }
func (c clients) Client(string) (kubernetes.Interface, error) { return c.client, nil }
func (c clients) ClientOrDie(string) kubernetes.Interface     { return c.client }

var _ cloudprovider.ControllerClientBuilder = clients{}
