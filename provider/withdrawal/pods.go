package withdrawal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// atOnce is how many pods are written at the same time: those of a full node within a fraction of a second.
const atOnce = 16

// podsOn lists the pods of a node. Nobody watches them: there are too many.
func (c *Controller) podsOn(ctx context.Context, node string) ([]*corev1.Pod, error) {
	list, err := c.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list the pods of node %s: %w", node, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		if list.Items[i].Spec.NodeName == node {
			pods = append(pods, &list.Items[i])
		}
	}
	return pods, nil
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	condition := conditionOf(pod, kind)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

// isOurs says whether a pod is not ready because it was marked.
func isOurs(pod *corev1.Pod) bool {
	ready := conditionOf(pod, corev1.PodReady)
	return ready != nil && ready.Status == corev1.ConditionFalse && ready.Reason == v1alpha1.ReasonNodeUnreachable
}

// wouldBeReady says whether a kubelet would call a pod ready: its containers are, and all its readiness gates are open.
func wouldBeReady(pod *corev1.Pod) bool {
	return isTrue(pod, corev1.ContainersReady) && !slices.ContainsFunc(pod.Spec.ReadinessGates, func(gate corev1.PodReadinessGate) bool {
		return !isTrue(pod, gate.ConditionType)
	})
}

// endpoints returns a function that says whether a Service selects a pod. It reads the Services of each namespace once.
func (c *Controller) endpoints() func(*corev1.Pod) bool {
	selectors := map[string][]labels.Selector{}
	return func(pod *corev1.Pod) bool {
		known, read := selectors[pod.Namespace]
		if !read {
			services, _ := c.services.Services(pod.Namespace).List(labels.Everything()) // a cache does not fail
			for _, s := range services {
				if len(s.Spec.Selector) > 0 {
					known = append(known, labels.SelectorFromSet(s.Spec.Selector))
				}
			}
			selectors[pod.Namespace] = known
		}
		return slices.ContainsFunc(known, func(s labels.Selector) bool { return s.Matches(labels.Set(pod.Labels)) })
	}
}

// mark marks the pods of a node not ready that are, as the node lifecycle controller does (MarkPodsNotReady in pkg/controller/util/node
// of Kubernetes): all of them, also those of the host's network, of DaemonSets, and those that terminate, which would serve if no other
// endpoint did. Those that Services select are first. One that was marked already and is ready again is so by its kubelet's word, and is
// left alone.
func (c *Controller) mark(ctx context.Context, w *withdrawal) error {
	pods, err := c.podsOn(ctx, w.node.Name)
	if err != nil {
		return err
	}
	condition := corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonNodeUnreachable, Message: w.verdict.Sentence(),
	}
	return c.writeAll(ctx, c.toMark(pods, w.marked), condition, func(pod *corev1.Pod) { w.marked[pod.UID] = struct{}{} })
}

// toMark returns those of a node's pods that are to be marked, in this order.
func (c *Controller) toMark(pods []*corev1.Pod, before map[types.UID]struct{}) []*corev1.Pod {
	var first, rest []*corev1.Pod
	isEndpoint := c.endpoints()
	for _, pod := range pods {
		_, marked := before[pod.UID]
		switch {
		case marked || !isTrue(pod, corev1.PodReady):
		case isEndpoint(pod):
			first = append(first, pod)
		default:
			rest = append(rest, pod)
		}
	}
	return slices.Concat(first, rest)
}

// restore calls the pods ready again that were marked, and returns how many. It leaves those alone of which a kubelet has said something
// else meanwhile.
func (c *Controller) restore(ctx context.Context, w *withdrawal) (count int, err error) {
	pods, err := c.podsOn(ctx, w.node.Name)
	if err != nil {
		return 0, err
	}
	pods = slices.DeleteFunc(pods, func(pod *corev1.Pod) bool {
		_, marked := w.marked[pod.UID]
		return !marked || !isOurs(pod) || !wouldBeReady(pod)
	})
	err = c.writeAll(ctx, pods, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}, func(*corev1.Pod) { count++ })
	return count, err
}

// writeAll gives pods a condition, several at a time, and calls written, never twice at a time, for each that has it. Pods that are
// gone count as well.
func (c *Controller) writeAll(ctx context.Context, pods []*corev1.Pod, condition corev1.PodCondition, written func(*corev1.Pod)) error {
	var mu sync.Mutex
	var problems []error
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, pod := range pods {
		group.Go(func() error {
			err := c.write(ctx, pod, condition)
			mu.Lock()
			defer mu.Unlock()
			if err == nil || apierrors.IsNotFound(err) {
				written(pod)
			} else {
				problems = append(problems, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err))
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(problems...)
}

// write gives a pod a condition, unless somebody has written to it meanwhile.
func (c *Controller) write(ctx context.Context, pod *corev1.Pod, condition corev1.PodCondition) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"status": map[string]any{"conditions": []map[string]any{{
			"type": condition.Type, "status": condition.Status, "reason": orNull(condition.Reason), "message": orNull(condition.Message),
			"lastTransitionTime": metav1.NewTime(time.Now()),
		}}},
	})
	if err != nil {
		return err
	}
	_, err = c.Kube.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// orNull is what removes a field if there is no text for it.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
