package main_test

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func testReadiness(s *suite) {
	s.create(s.pod("probed", func(pod *v1.Pod) {
		pod.Labels = map[string]string{"app": "probed"}
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		pod.Spec.Containers[0].ReadinessProbe = healthz(1, 1)
	}))
	s.service("probed")
	pod := s.awaitReady("probed")
	s.awaitEndpoint("probed", true, true, false)
	s.tell(pod, "/unhealthy")
	s.awaitPod("probed", "not ready", func(pod *v1.Pod) bool { return !isReady(pod) && !pod.Status.ContainerStatuses[0].Ready })
	s.awaitEndpoint("probed", false, false, false)
	s.tell(pod, "/healthy")
	s.awaitReady("probed")
	s.awaitEndpoint("probed", true, true, false)
}

// testMarkedByOthers has somebody else call a pod not ready, as the node lifecycle controller does: its kubelet knows better.
func testMarkedByOthers(s *suite) {
	s.create(s.pod("marked", nil))
	pod := s.awaitReady("marked")
	patch := []byte(`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"NodeUnreachable"}]}}`)
	if _, err := s.Kubernetes().CoreV1().Pods(s.namespace).Patch(s.ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		s.Fatal(err)
	}
	s.awaitPod("marked", "called ready again", func(pod *v1.Pod) bool {
		return isReady(pod) && !slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool { return c.Reason == "NodeUnreachable" })
	})
}

func testLiveness(s *suite) {
	s.create(s.pod("mortal", func(pod *v1.Pod) {
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		pod.Spec.Containers[0].LivenessProbe = healthz(1, 2)
		pod.Spec.Containers[0].StartupProbe = healthz(1, 10)
	}))
	s.tell(s.awaitReady("mortal"), "/unhealthy")
	s.awaitPod("mortal", "started again", func(pod *v1.Pod) bool {
		status := pod.Status.ContainerStatuses[0]
		return status.RestartCount == 1 && isReady(pod) && status.LastTerminationState.Terminated != nil
	})
}
