package main_test

import (
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func testRestart(s *suite) {
	s.create(s.pod("killed", nil))
	for count := int32(1); count <= 2; count++ {
		pid := s.pid(s.awaitReady("killed"))
		process, err := os.FindProcess(pid)
		if err != nil {
			s.Fatal(err)
		}
		if err := process.Kill(); err != nil {
			s.Fatal(err)
		}
		s.awaitPod("killed", "started again", func(pod *v1.Pod) bool {
			status := pod.Status.ContainerStatuses[0]
			ended := status.LastTerminationState.Terminated
			return status.RestartCount == count && isReady(pod) && ended != nil && ended.ExitCode == 137 && s.pid(pod) != pid
		})
	}
}

func testCompletion(s *suite) {
	for name, args := range map[string][]string{"done": {"--help"}, "failed": {"--no-such-option"}} {
		s.create(s.pod(name, func(pod *v1.Pod) {
			pod.Spec.RestartPolicy = v1.RestartPolicyNever
			pod.Spec.Containers[0].Image, pod.Spec.Containers[0].Command = productImage, append([]string{"/kubelet"}, args...)
		}))
	}
	s.awaitPod("done", "succeeded", func(pod *v1.Pod) bool { return pod.Status.Phase == v1.PodSucceeded })
	s.awaitPod("failed", "failed", func(pod *v1.Pod) bool {
		return pod.Status.Phase == v1.PodFailed && pod.Status.ContainerStatuses[0].State.Terminated.ExitCode == 1
	})
	for _, name := range []string{"done", "failed"} {
		s.delete(name, metav1.DeleteOptions{})
		s.awaitGone(name)
	}
}

func testGracefulDeletion(s *suite) {
	s.create(s.pod("lingering", func(pod *v1.Pod) {
		pod.Labels = map[string]string{"app": "lingering"}
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		pod.Spec.Containers[0].ReadinessProbe = healthz(1, 1)
		pod.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Exec: &v1.ExecAction{
			Command: []string{"sh", "-c", "until test -e " + s.flag("go") + "; do sleep 0.05; done"},
		}}}
	}))
	s.service("lingering")
	pod := s.awaitReady("lingering")
	s.awaitEndpoint("lingering", true, true, false)
	s.delete("lingering", metav1.DeleteOptions{})
	s.awaitEndpoint("lingering", false, true, true)
	if answer, err := s.ask(pod); err != nil || answer.Pod != "lingering" {
		s.Errorf("while terminating it answers %+v, %v", answer, err)
	}
	if err := os.WriteFile(s.flag("go"), nil, 0o644); err != nil {
		s.Fatal(err)
	}
	defer os.Remove(s.flag("go"))
	s.awaitGone("lingering")
	s.awaitDeath(s.pid(pod))
}

// flag is a file for a test to talk to the commands in its pods.
func (s *suite) flag(name string) string {
	return filepath.Join(os.TempDir(), s.namespace+"-"+s.Cluster.Name()+"-"+name)
}

func testGracePeriod(s *suite) {
	s.create(s.pod("stubborn", func(pod *v1.Pod) {
		pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "ECHO_STOP_DELAY", Value: "1h"}}
	}))
	pod := s.awaitReady("stubborn")
	s.delete("stubborn", metav1.DeleteOptions{})
	s.awaitPod("stubborn", "terminating", func(pod *v1.Pod) bool { return pod.DeletionTimestamp != nil })
	if answer, err := s.ask(pod); err != nil || answer.Pod != "stubborn" {
		s.Errorf("in its grace period it answers %+v, %v", answer, err)
	}
	// A second deletion may shorten the period.
	s.delete("stubborn", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(1))})
	s.awaitGone("stubborn")
	s.awaitDeath(s.pid(pod))
}

func testForcedDeletion(s *suite) {
	s.create(s.pod("doomed", func(pod *v1.Pod) {
		pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "ECHO_STOP_DELAY", Value: "1h"}}
	}))
	pod := s.awaitReady("doomed")
	s.delete("doomed", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
	s.awaitDeath(s.pid(pod))
}
