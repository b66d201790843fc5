package uninstall

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
)

const (
	controller          = "clarion-cloud-controller-manager" // its Deployment and its lease
	announcer           = "announcer"                        // its DaemonSet
	controllerNamespace = metav1.NamespaceSystem
	annotationDomain    = "clarionlb.io/"
	poll                = 200 * time.Millisecond
)

// remover removes Clarion from a cluster. Each step can be done again.
type remover struct {
	*plugin.Clients
	timeout time.Duration
	out     io.Writer
}

func (r *remover) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// services are those that carry something of Clarion.
func (r *remover) services(ctx context.Context) ([]corev1.Service, error) {
	list, err := r.Kube.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("read all Services: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(s corev1.Service) bool { return !carries(&s) }), nil
}

// carries says whether a Service has an answer of Clarion, with which the finalizer goes, or one of its annotations.
func carries(s *corev1.Service) bool {
	return meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil ||
		meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced) != nil || len(ownAnnotations(s.Annotations)) > 0
}

// withAddresses are the Services that have addresses of Clarion, those that are being deleted left out.
func withAddresses(services []corev1.Service) []corev1.Service {
	return slices.DeleteFunc(slices.Clone(services), func(s corev1.Service) bool {
		return s.Spec.Type != corev1.ServiceTypeLoadBalancer || s.DeletionTimestamp != nil || len(s.Status.LoadBalancer.Ingress) == 0 ||
			meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned) == nil
	})
}

func addressesOf(s *corev1.Service) []string {
	var list []string
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		list = append(list, ingress.IP)
	}
	return list
}

// ownAnnotations are the names of Clarion's annotations, sorted.
func ownAnnotations(annotations map[string]string) []string {
	names := slices.Sorted(maps.Keys(annotations))
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, annotationDomain) })
}

// remove removes everything, in the order in which nothing is left behind.
func (r *remover) remove(ctx context.Context, release bool) error {
	for _, step := range []func(context.Context) error{
		r.stopController,
		func(ctx context.Context) error { return r.giveUp(ctx, release) },
		r.awaitWithdrawal,
		r.stopAnnouncers,
		r.removePools,
		r.removeNodeAnnotations,
		r.removeObjects,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.say("Nothing of Clarion is left.")
	return nil
}

// stopController ends the cloud-controller-manager, which would write what is removed.
func (r *remover) stopController(ctx context.Context) error {
	deployments := r.Kube.AppsV1().Deployments(controllerNamespace)
	deployment, err := deployments.Get(ctx, controller, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the Deployment of the cloud-controller-manager: %w", err)
	}
	if _, err := deployments.Patch(ctx, controller, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("stop the cloud-controller-manager: %w", err)
	}
	r.say("The cloud-controller-manager is told to end")
	return r.awaitNoPods(ctx, controllerNamespace, deployment.Spec.Selector)
}

// awaitNoPods waits until there is no pod any more, not even one that terminates. No kubelet ends those of a node that is down: their
// objects are removed, which else would keep the namespace from going.
func (r *remover) awaitNoPods(ctx context.Context, namespace string, selector *metav1.LabelSelector) error {
	return r.await(ctx, "pods in "+namespace+" to end", func(ctx context.Context) (bool, error) {
		pods, err := r.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)})
		if err != nil {
			return false, err
		}
		for _, pod := range pods.Items {
			if err := r.removeIfLost(ctx, &pod); err != nil {
				return false, err
			}
		}
		return len(pods.Items) == 0, nil
	})
}

// removeIfLost removes the object of a pod that is to end, and whose node is not ready or gone.
func (r *remover) removeIfLost(ctx context.Context, pod *corev1.Pod) error {
	if pod.DeletionTimestamp == nil || pod.Spec.NodeName == "" {
		return nil
	}
	node, err := r.Kube.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read Node %s: %w", pod.Spec.NodeName, err)
	}
	if err == nil && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}) {
		return nil
	}
	err = r.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove pod %s/%s, whose node is not ready: %w", pod.Namespace, pod.Name, err)
	}
	r.say("Pod %s/%s is removed without waiting for it: its node %s is not ready, whose kubelet ends it when it is back", pod.Namespace, pod.Name, pod.Spec.NodeName)
	return nil
}

func (r *remover) await(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, poll, r.timeout, true, done); err != nil {
		return fmt.Errorf("waited for %s: %w", what, err)
	}
	return nil
}

// giveUp removes from every Service what Clarion has put on it.
func (r *remover) giveUp(ctx context.Context, release bool) error {
	services, err := r.services(ctx)
	if err != nil {
		return err
	}
	for _, service := range services {
		name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		ours := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil
		var change func(*corev1.Service)
		if release && ours {
			change = func(s *corev1.Service) { s.Status.LoadBalancer = corev1.LoadBalancerStatus{} }
		}
		if ours {
			if err := plugin.HandOver(ctx, r.Kube, name, change); err != nil {
				return err
			}
		}
		patch := func(ctx context.Context, patch []byte) error {
			_, err := r.Kube.CoreV1().Services(name.Namespace).Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}
		if err := removeAnnotations(ctx, service.Annotations, patch); err != nil {
			return fmt.Errorf("remove annotations of Service %s: %w", name, err)
		}
		for _, annotation := range ownAnnotations(service.Annotations) {
			r.say("Service %s had annotation %s: %s", name, annotation, service.Annotations[annotation])
		}
		switch {
		case len(service.Status.LoadBalancer.Ingress) == 0 || !ours:
		case release:
			r.say("Service %s has lost %s", name, strings.Join(addressesOf(&service), ", "))
		default:
			r.say("Service %s keeps %s in its status, which nobody announces now", name, strings.Join(addressesOf(&service), ", "))
		}
	}
	return nil
}

// removeAnnotations has Clarion's annotations patched away.
func removeAnnotations(ctx context.Context, annotations map[string]string, patch func(context.Context, []byte) error) error {
	gone := map[string]any{}
	for _, name := range ownAnnotations(annotations) {
		gone[name] = nil
	}
	if len(gone) == 0 {
		return nil
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": gone}})
	if err != nil {
		return err
	}
	if err := patch(ctx, text); !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// awaitWithdrawal waits until no announcer that runs says that it has an address.
func (r *remover) awaitWithdrawal(ctx context.Context) error {
	return r.await(ctx, "announcers to withdraw their addresses", func(ctx context.Context) (bool, error) {
		list, err := r.Dynamic.Resource(v1alpha1.SchemeGroupVersion.WithResource("announcers")).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		for _, object := range list.Items {
			addresses, _, _ := unstructured.NestedSlice(object.Object, "status", "layer2", "addresses")
			if len(addresses) > 0 && r.runs(ctx, object.GetName()) {
				return false, nil
			}
		}
		return true, nil
	})
}

// runs says whether the announcer of a node runs, as far as its pod says so.
func (r *remover) runs(ctx context.Context, node string) bool {
	pods, err := r.Kube.CoreV1().Pods(v1alpha1.SystemNamespace).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return true
	}
	return slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
		return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
}

// stopAnnouncers ends the announcers, which have nothing to announce and so leave nothing in the kernels.
func (r *remover) stopAnnouncers(ctx context.Context) error {
	daemonSets := r.Kube.AppsV1().DaemonSets(v1alpha1.SystemNamespace)
	daemonSet, err := daemonSets.Get(ctx, announcer, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the DaemonSet of the announcers: %w", err)
	}
	if err := daemonSets.Delete(ctx, announcer, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("stop the announcers: %w", err)
	}
	r.say("The announcers are told to end")
	return r.awaitNoPods(ctx, v1alpha1.SystemNamespace, daemonSet.Spec.Selector)
}

// removePools removes the pools with their finalizer, which nobody else removes any more.
func (r *remover) removePools(ctx context.Context) error {
	pools := r.Dynamic.Resource(v1alpha1.SchemeGroupVersion.WithResource("ipaddresspools"))
	list, err := pools.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read all IPAddressPools: %w", err)
	}
	for _, pool := range list.Items {
		left := slices.DeleteFunc(pool.GetFinalizers(), func(f string) bool { return f == v1alpha1.FinalizerPoolInUse })
		if len(left) < len(pool.GetFinalizers()) {
			text, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": left, "resourceVersion": pool.GetResourceVersion()}})
			if err != nil {
				return err
			}
			if _, err := pools.Patch(ctx, pool.GetName(), types.MergePatchType, text, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("remove the finalizer of IPAddressPool %s: %w", pool.GetName(), err)
			}
		}
		if err := pools.Delete(ctx, pool.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete IPAddressPool %s: %w", pool.GetName(), err)
		}
	}
	return nil
}

// removeNodeAnnotations removes Clarion's annotations from Nodes.
func (r *remover) removeNodeAnnotations(ctx context.Context) error {
	nodes, err := r.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("read all Nodes: %w", err)
	}
	for _, node := range nodes.Items {
		if err := removeAnnotations(ctx, node.Annotations, func(ctx context.Context, patch []byte) error {
			_, err := r.Kube.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}); err != nil {
			return fmt.Errorf("remove annotations of Node %s: %w", node.Name, err)
		}
	}
	return nil
}
