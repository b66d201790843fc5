package why

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// changed is the cluster of the examples with a change.
func changed(t *testing.T, change func(*snapshot.Snapshot)) *snapshot.State {
	t.Helper()
	s := example(t).Clone()
	change(s)
	return s.State()
}

// podOf finds the Pod of the cloud-controller-manager.
func podOf(s *snapshot.Snapshot) int {
	return slices.IndexFunc(s.Pods, func(p *corev1.Pod) bool { return p.Name == snapshot.ControllerName+"-0" })
}

// podIs has the Pod of the cloud-controller-manager be in a state.
func podIs(status corev1.PodStatus) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) { s.Pods[podOf(s)].Status = status }
}

func TestACloudControllerManagerThatIsAwayIsNamed(t *testing.T) {
	front, late := types.NamespacedName{Namespace: "shop", Name: "front"}, types.NamespacedName{Namespace: "shop", Name: "late"}
	unanswered := func(s *snapshot.Snapshot) {
		for _, service := range s.Services {
			if service.Name == "late" {
				service.Status.Conditions, service.Annotations = nil, nil
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*snapshot.Snapshot)
		mark   Mark
		want   string
	}{
		{"it runs", func(*snapshot.Snapshot) {}, OK, "runs"},
		{"it died", func(s *snapshot.Snapshot) { s.Time = s.Time.Add(time.Minute) }, Failed, "has not been heard of since 2026-01-01T09:00:15Z"},
		{"it has given the Lease back", func(s *snapshot.Snapshot) { s.Leases[0].Spec.HolderIdentity = new("") }, Failed, "no cloud-controller-manager holds the Lease"},
		{"it was never there", func(s *snapshot.Snapshot) { s.Leases, s.Pods = nil, nil }, Failed, "has never run"},
		{"its Pod is not ready", podIs(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}), Warning,
			"has its Lease, and may not answer: Pod clarion-cloud-controller-manager-0: is not ready"},
		{"its Pod ends at once", podIs(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}), Warning, "CrashLoopBackOff"},
		{"another Pod is not ready, which stands by", func(s *snapshot.Snapshot) {
			standby := s.Pods[podOf(s)].DeepCopy()
			standby.Name, standby.Spec.NodeName = "clarion-cloud-controller-manager-1", "n2"
			standby.Status.Conditions[0].Status = corev1.ConditionFalse
			s.Pods = append(s.Pods, standby)
		}, OK, "runs"},
		{"another Pod is ready, which stands by", func(s *snapshot.Snapshot) {
			standby := s.Pods[podOf(s)].DeepCopy()
			standby.Name, standby.Spec.NodeName = "clarion-cloud-controller-manager-1", "n2"
			s.Pods = append(s.Pods, standby)
			s.Pods[podOf(s)].Status.Conditions[0].Status = corev1.ConditionFalse
		}, Warning, "Pod clarion-cloud-controller-manager-0: is not ready"},
		{"no Pod is ready, whichever has the Lease", func(s *snapshot.Snapshot) {
			s.Leases[0].Spec.HolderIdentity = new("elsewhere_0")
			s.Pods[podOf(s)].Status.Conditions[0].Status = corev1.ConditionFalse
		}, Warning, "Pod clarion-cloud-controller-manager-0: is not ready"},
		{"nobody may say", func(s *snapshot.Snapshot) {
			s.Leases, s.Unread = nil, []snapshot.Unread{{Kind: "leases.coordination.k8s.io", Why: "forbidden"}}
		}, Note, "is not known: forbidden"},
	} {
		s := changed(t, func(s *snapshot.Snapshot) {
			unanswered(s)
			test.change(s)
		})
		if l := Controller(s); l.Mark != test.mark || !strings.Contains(l.Sentence, test.want) {
			t.Errorf("%s: %+v", test.name, l)
		}
		// It matters for a Service that waits for it, and takes nothing from one that has its address.
		if r := Service(s, late); r.OK || (test.mark == Failed || test.mark == Warning) && !strings.Contains(r.Summary, test.want) {
			t.Errorf("%s: %+v", test.name, r)
		}
		if r := Service(s, front); !r.OK {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
}

func TestAPodThatDoesNotRunSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"an image that is not there": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}}, "ImagePullBackOff: no such image"},
		"a process that ends": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}}}}, "Error"},
		"no place": {corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: "Unschedulable", Message: "1 node had untolerated taints"}}}, "Unschedulable: 1 node had untolerated taints"},
		"not ready": {corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}, "is not ready"},
	} {
		s := changed(t, func(s *snapshot.Snapshot) {
			for _, pod := range s.Pods {
				if pod.Spec.NodeName == "n2" {
					pod.Status = test.status
				}
			}
		})
		if r := Node(s, "n2"); r.OK || !strings.Contains(r.Summary, test.want) {
			t.Errorf("%s: %+v", name, r)
		}
		if r := Node(s, "n1"); !r.OK {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
