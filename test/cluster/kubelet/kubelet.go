package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// kubelet runs the pods that are bound to its node.
type kubelet struct {
	options options
	client  kubernetes.Interface
	logger  logr.Logger
	spawn   *spawner
	network *network
	events  record.EventRecorder

	mu   sync.Mutex
	pods map[types.UID]*running
	work sync.WaitGroup
}

// running is a pod and the way to kill it.
type running struct {
	*podRun
	kill context.CancelFunc
}

func newKubelet(options options, client kubernetes.Interface) *kubelet {
	return &kubelet{options: options, client: client, pods: map[types.UID]*running{}}
}

// dir is the folder with the volumes of pods. It lies with the logs, so that whoever removes the
// logs also removes what a killed kubelet leaves.
func (k *kubelet) dir() string { return filepath.Join(k.options.LogDir, k.options.NetnsPrefix+".pods") }

// run registers the node and runs its pods until ctx ends; then it kills them and leaves nothing
// behind.
func (k *kubelet) run(ctx context.Context) error {
	k.logger = klog.FromContext(ctx)
	held, err := lock()
	if err != nil {
		return err
	}
	defer held.Close()
	if err := os.MkdirAll(k.options.LogDir, 0o755); err != nil {
		return err
	}
	if k.spawn, err = newSpawner(); err != nil {
		return err
	}
	k.network = newNetwork(k.spawn, k.options.NetnsPrefix, k.options.PodCIDRs)
	if err := k.clean(); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	defer k.clean()

	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.client.CoreV1().Events("")})
	k.events = events.NewRecorder(scheme.Scheme, v1.EventSource{Component: "kubelet", Host: k.options.NodeName})

	node := &node{options: k.options, client: k.client}
	registered, err := node.register(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { node.keepLease(ctx, registered) })
	background.Go(func() { node.keepStatus(ctx) })

	if err := k.watch(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	k.logger.Info("Stopping; the node's pods are killed")
	k.work.Wait()
	return nil
}

// lock ensures that no second process runs the pods of this node. It is an abstract socket: that
// belongs to a network namespace, which a node is, and goes with the process that has it.
func lock() (net.Listener, error) {
	held, err := net.Listen("unix", "@clarion-test-kubelet")
	if err != nil {
		return nil, fmt.Errorf("another kubelet runs on this node: %w", err)
	}
	return held, nil
}

// clean removes the network namespaces, links and folders of pods; their processes are gone when
// their kubelet is.
func (k *kubelet) clean() error {
	return errors.Join(k.network.removeLeftovers(), os.RemoveAll(k.dir()))
}

// watch follows the pods bound to this node until ctx ends.
func (k *kubelet) watch(ctx context.Context) error {
	informer := cache.NewSharedIndexInformer(k.podsAnew(), &v1.Pod{}, 0, nil)
	if err := informer.SetTransform(func(object any) (any, error) {
		if pod, ok := object.(*v1.Pod); ok {
			pod.ManagedFields = nil
		}
		return object, nil
	}); err != nil {
		return err
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { k.update(ctx, object.(*v1.Pod)) },
		UpdateFunc: func(before, object any) {
			if before, pod := before.(*v1.Pod), object.(*v1.Pod); before.UID != pod.UID {
				k.remove(before)
			}
			k.update(ctx, object.(*v1.Pod))
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			k.remove(object.(*v1.Pod))
		},
	})
	if err != nil {
		return err
	}
	k.work.Go(func() { informer.RunWithContext(ctx) })
	return nil
}

// podsAnew lists the pods bound to this node anew after each watch. Whoever restores etcd from a copy is told to restart kubelets, since
// they go on from a revision that may stand for something else now. This one forgets what it knew, and so do its pods.
func (k *kubelet) podsAnew() cache.ListerWatcher {
	pods, listed := k.client.CoreV1().Pods(metav1.NamespaceAll), false
	here := fields.OneTermEqualSelector("spec.nodeName", k.options.NodeName).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			listed = true
			k.reread()
			o.FieldSelector, o.ResourceVersion = here, ""
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.FieldSelector = here
			if ptr.Deref(o.SendInitialEvents, false) { // this lists, too
				k.reread()
				o.ResourceVersion = ""
			} else if !listed {
				return nil, apierrors.NewResourceExpired("everything is listed anew")
			}
			listed = false
			return pods.Watch(ctx, o)
		},
	}
}

// update starts a pod that is new, and tells one that runs about its new version.
func (k *kubelet) update(ctx context.Context, pod *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.pods[pod.UID]; ok {
		p.update(pod)
		return
	}
	if ctx.Err() != nil {
		return
	}
	ctx, kill := context.WithCancel(ctx)
	p := &running{newPodRun(k, pod), kill}
	k.pods[pod.UID] = p
	p.logger.Info("Starting pod")
	k.work.Go(func() {
		defer kill()
		p.run(ctx)
		p.logger.Info("Pod ended")
	})
}

// reread makes all pods ask the API server what it has of them.
func (k *kubelet) reread() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pods {
		p.reread()
	}
}

// remove kills a pod that is gone from the API server. A pod that was deleted with its grace period
// has ended already.
func (k *kubelet) remove(pod *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.pods[pod.UID]; ok {
		p.kill()
		delete(k.pods, pod.UID)
	}
}
