package announced

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/informer"
)

// newPodInformer returns an informer of the announcers' Pods, without what is not needed of them.
func newPodInformer(kube kubernetes.Interface) cache.SharedIndexInformer {
	i := coreinformers.NewFilteredPodInformer(kube, v1alpha1.SystemNamespace, 0, nil, func(o *metav1.ListOptions) {
		o.LabelSelector = "app.kubernetes.io/name=announcer"
	})
	informer.SetTransform(i, stripPod)
	return i
}

// stripPod leaves of a Pod where it runs, or is to run, and how its containers do.
func stripPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Spec:       corev1.PodSpec{NodeName: nodeOf(pod)},
		Status:     corev1.PodStatus{Conditions: pod.Status.Conditions, ContainerStatuses: pod.Status.ContainerStatuses},
	}, nil
}

// nodeOf is the node of a Pod: before the scheduler has placed it, the one for which the DaemonSet has made it.
func nodeOf(pod *corev1.Pod) string {
	affinity := pod.Spec.Affinity
	if pod.Spec.NodeName != "" || affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return pod.Spec.NodeName
	}
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

// setPod takes the Pod of an announcer as it is now, nil if it is gone.
func (e *evaluator) setPod(name types.NamespacedName, object *corev1.Pod) {
	if before := e.pods[name.Name]; before != nil {
		delete(e.podsOn[nodeOf(before)], name.Name)
		delete(e.pods, name.Name)
	}
	if object == nil {
		return
	}
	node := nodeOf(object)
	e.pods[name.Name] = object
	if e.podsOn[node] == nil {
		e.podsOn[node] = map[string]*corev1.Pod{}
	}
	e.podsOn[node][name.Name] = object
}

// podDown says whether no Pod of an announcer is ready on a node, as its kubelet says, and which is the latest of which that is so;
// nil if there is none. The condition of the containers says it: that of the Pod is set to False by others, too, when they lose sight
// of the kubelet.
func (e *evaluator) podDown(node string) (latest *corev1.Pod, down bool) {
	var since metav1.Time
	for _, name := range slices.Sorted(maps.Keys(e.podsOn[node])) {
		pod := e.podsOn[node][name]
		ready := containersReady(pod)
		switch {
		case ready.Status == corev1.ConditionTrue:
			return nil, false
		case latest == nil || since.Before(&ready.LastTransitionTime):
			latest, since = pod, ready.LastTransitionTime
		}
	}
	return latest, true
}

// noPod says of a node that it has no Pod of an announcer.
const noPod = "there is no Pod of the DaemonSet " + v1alpha1.SystemNamespace + "/announcer"

// containersReady is the condition that says whether the containers of a Pod are ready; zero if there is none yet.
func containersReady(pod *corev1.Pod) corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.ContainersReady })
	if i < 0 {
		return corev1.PodCondition{}
	}
	return pod.Status.Conditions[i]
}

// whyPodDown says that a Pod is not ready, with what its kubelet says of its containers.
func whyPodDown(pod *corev1.Pod) string {
	return "Pod " + pod.Name + " is not ready" + parenthesized(troublesOf(pod, false))
}

// troublesOf are what keeps the containers of a Pod from being ready. A container that is started again and again waits, runs and
// ends in turn: lasting leaves out of it what does not last.
func troublesOf(pod *corev1.Pod, lasting bool) (troubles []string) {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Ready {
			continue
		}
		ended := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
		switch {
		case lasting && ended != nil:
			troubles = append(troubles, "its container "+endOf(ended))
			continue
		case c.State.Waiting != nil && c.State.Waiting.Reason == "ErrImagePull": // so it is called at each attempt, and the other way between them
			troubles = append(troubles, "ImagePullBackOff")
		case c.State.Waiting != nil:
			troubles = append(troubles, cmp.Or(c.State.Waiting.Reason, "waiting"))
		case c.State.Running != nil:
			troubles = append(troubles, "its container runs and does not answer as ready")
		}
		if ended != nil {
			troubles = append(troubles, "the last one "+endOf(ended))
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			troubles = append(troubles, cmp.Or(c.Reason, "not scheduled"))
		}
	}
	return troubles
}

func endOf(t *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("ended with %s, exit code %d", cmp.Or(t.Reason, "an error"), t.ExitCode)
}

func parenthesized(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}
