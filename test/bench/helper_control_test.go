package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// control is a cluster of one node with a pool for thousands of Services, none of which is
// announced. The Services have no endpoints and no node ports, so that kube-proxy has little to do
// and the machine is left to what is measured.
type control struct {
	*install.Installation
	b      *testing.B
	client kubernetes.Interface

	mu sync.Mutex
	// served has all Services, and when each was first seen with an address, zero until then.
	served map[string]time.Time
	// changed is closed and replaced when served changes.
	changed chan struct{}
}

// newControl starts the cluster and begins to watch its Services.
func newControl(b *testing.B, config cluster.Config) *control {
	b.Helper()
	config.Nodes = 1
	return watchServices(b, install.New(b, config), "apiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: large}\nspec: {addresses: [10.200.0.0/16]}\n")
}

// watchServices makes a pool and begins to watch the Services of a cluster.
func watchServices(b *testing.B, installation *install.Installation, pool string) *control {
	b.Helper()
	c := &control{Installation: installation, b: b, served: map[string]time.Time{}, changed: make(chan struct{})}
	rest := c.RESTConfig()
	rest.ContentType = runtime.ContentTypeProtobuf // as the cloud-controller-manager's
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		b.Fatal(err)
	}
	c.client = client
	if err := c.ApplyYAML(b.Context(), pool); err != nil {
		b.Fatal(err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceDefault))
	services := factory.Core().V1().Services().Informer()
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.see(obj.(*corev1.Service)) },
		UpdateFunc: func(_, obj any) { c.see(obj.(*corev1.Service)) },
		DeleteFunc: c.unsee,
	}
	if _, err := services.AddEventHandler(handler); err != nil {
		b.Fatal(err)
	}
	factory.Start(b.Context().Done())
	b.Cleanup(factory.Shutdown)
	return c
}

// see notes that a Service is there, and whether it has an address.
func (c *control) see(service *corev1.Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.served[service.Name]
	if at.IsZero() && len(service.Status.LoadBalancer.Ingress) > 0 {
		at = time.Now()
	}
	c.served[service.Name] = at
	c.notify()
}

// unsee notes that a Service is gone.
func (c *control) unsee(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		panic(err)
	}
	_, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.served, name)
	c.notify()
}

func (c *control) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until a condition on served holds.
func (c *control) await(what string, condition func() bool) {
	c.b.Helper()
	ctx, cancel := context.WithTimeout(c.b.Context(), 10*time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		holds, changed := condition(), c.changed
		c.mu.Unlock()
		if holds {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.b.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitServed waits until Services have addresses and returns when the last of them was seen with one.
func (c *control) awaitServed(names ...string) time.Time {
	c.b.Helper()
	var last time.Time
	next := 0 // those before it are served
	c.await("the Services to be served", func() bool {
		for ; next < len(names); next++ {
			at := c.served[names[next]]
			if at.IsZero() {
				return false
			}
			if at.After(last) {
				last = at
			}
		}
		return true
	})
	return last
}

// create creates Services as fast as the API server takes them, of a load balancer class if it is
// not empty.
func (c *control) create(class string, names ...string) {
	c.b.Helper()
	forEach(c.b, names, func(ctx context.Context, name string) error {
		service := newService(name)
		service.Labels, service.Spec.Selector = map[string]string{"bench": "true"}, nil
		if class != "" {
			service.Spec.LoadBalancerClass = &class
		}
		_, err := c.client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, service, metav1.CreateOptions{})
		return err
	})
}

// patch makes the two writes to the status of each Service that serving it takes, and does nothing
// else.
func (c *control) patch(names ...string) {
	c.b.Helper()
	forEach(c.b, names, func(ctx context.Context, name string) error {
		const patch = `{"metadata":{"annotations":{"bench":"service.kubernetes.io/load-balancer-cleanup"}},` +
			`"status":{"loadBalancer":{"ingress":[{"ip":"10.200.0.1","ipMode":"VIP"}]},"conditions":[{"type":"clarionlb.io/AddressAssigned","status":"True","reason":"Assigned","message":"10.200.0.1 from pool \"large\"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
		_, err := c.client.CoreV1().Services(metav1.NamespaceDefault).Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		return err
	})
}

// deleteServices deletes Services and waits until they are gone.
func (c *control) deleteServices(names ...string) {
	c.b.Helper()
	forEach(c.b, names, func(ctx context.Context, name string) error {
		return c.client.CoreV1().Services(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{})
	})
	next := 0
	c.await("the Services to go", func() bool {
		for ; next < len(names); next++ {
			if _, there := c.served[names[next]]; there {
				return false
			}
		}
		return true
	})
}

// stop stops the cloud-controller-manager as an upgrade does, and waits until it has ended.
func (c *control) stop() {
	c.b.Helper()
	p := c.process()
	c.scale(0)
	if err := p.Wait(c.b.Context()); err != nil {
		c.b.Fatal(err)
	}
}

// start starts the cloud-controller-manager, waits until it leads, and returns since when it does,
// and its process.
func (c *control) start() (won time.Time, p *network.Process) {
	c.b.Helper()
	began := time.Now()
	c.scale(1)
	install.Eventually(c.b, "a leader", func(ctx context.Context) error {
		lease, err := c.client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, install.CCM, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.AcquireTime == nil || lease.Spec.AcquireTime.Time.Before(began) || ptr.Deref(lease.Spec.HolderIdentity, "") == "" {
			return errors.New("nobody has taken the lease yet")
		}
		won = lease.Spec.AcquireTime.Time
		return nil
	})
	return won, c.process()
}

func (c *control) scale(replicas int) {
	c.b.Helper()
	if _, err := c.Kubectl(c.b.Context(), "scale", "--namespace=kube-system", "deployment/"+install.CCM, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		c.b.Fatal(err)
	}
}

// process returns the running cloud-controller-manager.
func (c *control) process() *network.Process {
	c.b.Helper()
	p, err := c.Nodes()[0].Process(install.CCMProcess)
	if err != nil {
		c.b.Fatal(err)
	}
	return p
}

// awaitCondition waits until the Announced conditions of Services are as wanted.
func (c *control) awaitCondition(names []string, wanted func(metav1.Condition) bool) {
	c.b.Helper()
	ours := sets.New(names...)
	install.Eventually(c.b, "the Services to say how they are announced", func(ctx context.Context) error {
		services, err := c.client.CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		missing := len(ours)
		for _, service := range services.Items {
			said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
			if ours.Has(service.Name) && said != nil && wanted(*said) {
				missing--
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d do not", missing)
		}
		return nil
	})
}
