package main_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func healthz(seconds, failures int32) *v1.Probe {
	return &v1.Probe{
		PeriodSeconds: seconds, FailureThreshold: failures, TimeoutSeconds: 30,
		ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("web")}},
	}
}

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

// awaitEndpoint waits until the one endpoint of a Service is in a state.
func (s *suite) awaitEndpoint(service string, ready, serving, terminating bool) {
	s.Helper()
	s.await("the endpoint of "+service, func() error {
		slices, err := s.Kubernetes().DiscoveryV1().EndpointSlices(s.namespace).List(s.ctx, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=" + service,
		})
		if err != nil {
			return err
		}
		if len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 1 {
			return fmt.Errorf("slices: %v", slices.Items)
		}
		c := slices.Items[0].Endpoints[0].Conditions
		if *c.Ready != ready || *c.Serving != serving || *c.Terminating != terminating {
			return fmt.Errorf("ready %t, serving %t, terminating %t", *c.Ready, *c.Serving, *c.Terminating)
		}
		return nil
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
