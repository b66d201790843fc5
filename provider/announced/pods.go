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

// stripPod leaves of a Pod where it runs and how its containers do.
func stripPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status:     corev1.PodStatus{Conditions: pod.Status.Conditions, ContainerStatuses: pod.Status.ContainerStatuses},
	}, nil
}

// setPod takes the Pod of an announcer as it is now, nil if it is gone.
func (e *evaluator) setPod(name types.NamespacedName, object *corev1.Pod) {
	if before := e.pods[name.Name]; before != nil {
		delete(e.podsOn[before.Spec.NodeName], name.Name)
		delete(e.pods, name.Name)
	}
	if object == nil || object.Spec.NodeName == "" {
		return
	}
	e.pods[name.Name] = object
	if e.podsOn[object.Spec.NodeName] == nil {
		e.podsOn[object.Spec.NodeName] = map[string]*corev1.Pod{}
	}
	e.podsOn[object.Spec.NodeName][name.Name] = object
}

// podDown says whether no Pod of an announcer is ready on a node, as its kubelet says, since when that
// is so (zero if there is none), and why in half a sentence. The condition of the containers says it: that of the Pod is set to False
// by others, too, when they lose sight of the kubelet.
func (e *evaluator) podDown(node string) (since metav1.Time, why string, down bool) {
	pods := e.podsOn[node]
	if len(pods) == 0 {
		return since, "there is no Pod of the DaemonSet " + v1alpha1.SystemNamespace + "/announcer", true
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		ready := containersReady(pods[name])
		switch {
		case ready.Status == corev1.ConditionTrue:
			return metav1.Time{}, "", false
		case why == "" || since.Before(&ready.LastTransitionTime):
			since, why = ready.LastTransitionTime, whyPodDown(pods[name])
		}
	}
	return since, why, true
}

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
	var states []string
	for _, c := range pod.Status.ContainerStatuses {
		if c.Ready {
			continue
		}
		switch {
		case c.State.Waiting != nil:
			states = append(states, cmp.Or(c.State.Waiting.Reason, "waiting"))
		case c.State.Running != nil:
			states = append(states, "its container runs and does not answer as ready")
		}
		if t := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated); t != nil {
			states = append(states, fmt.Sprintf("the last one ended with %s, exit code %d", cmp.Or(t.Reason, "an error"), t.ExitCode))
		}
	}
	why := "Pod " + pod.Name + " is not ready"
	if len(states) > 0 {
		why += " (" + strings.Join(states, "; ") + ")"
	}
	return why
}
