package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster/network"
)

func testKubeletRestart(s *suite) {
	s.create(s.pod("kept", nil))
	before := s.awaitReady("kept")
	kubelet := s.kubelet()
	if err := kubelet.Terminate(); err != nil {
		s.Fatal(err)
	}
	s.awaitEnd(kubelet)
	if alive(s.pid(before)) {
		s.Error("the pod outlived its kubelet")
	}
	if left := s.podNamespaces(); len(left) > 0 {
		s.Errorf("network namespaces are left: %q", left)
	}
	if err := s.Node("n1").StartKubelet(); err != nil {
		s.Fatal(err)
	}
	after := s.awaitPod("kept", "started again", func(pod *v1.Pod) bool {
		return isReady(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1
	})
	if after.Status.PodIP != before.Status.PodIP {
		s.Errorf("its address was %s and is %s", before.Status.PodIP, after.Status.PodIP)
	}
	if answer, err := s.ask(after); err != nil || answer.Pod != "kept" {
		s.Errorf("it answers %+v, %v", answer, err)
	}
}

func (s *suite) kubelet() *network.Process {
	s.Helper()
	kubelet, err := s.Node("n1").Kubelet()
	if err != nil {
		s.Fatal(err)
	}
	return kubelet
}

func (s *suite) awaitEnd(p *network.Process) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) podNamespaces() []string {
	s.Helper()
	names, err := filepath.Glob("/run/netns/" + s.Node("n1").Namespace() + "-*")
	if err != nil {
		s.Fatal(err)
	}
	return names
}

func testKubeletDeath(s *suite) {
	s.create(s.pod("kept", nil))
	s.create(s.pod("deleted", nil))
	kept, deleted := s.awaitReady("kept"), s.awaitReady("deleted")
	kubelet := s.kubelet()
	if err := kubelet.Kill(); err != nil {
		s.Fatal(err)
	}
	s.awaitEnd(kubelet)
	s.awaitDeath(s.pid(kept))
	s.awaitDeath(s.pid(deleted))
	s.delete("deleted", metav1.DeleteOptions{})
	if err := s.Node("n1").StartKubelet(); err != nil {
		s.Fatal(err)
	}
	s.awaitGone("deleted")
	s.awaitPod("kept", "started again", func(pod *v1.Pod) bool {
		return isReady(pod) && s.pid(pod) != s.pid(kept)
	})
}

func testWithoutAPIServer(s *suite) {
	s.create(s.pod("alone", func(pod *v1.Pod) {
		pod.Spec.Containers[0].LivenessProbe = &v1.Probe{PeriodSeconds: 1, TimeoutSeconds: 30, FailureThreshold: 1,
			ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	}))
	pod := s.awaitReady("alone")
	servers, err := s.Control.Processes("kube-apiserver")
	if err != nil || len(servers) != 1 {
		s.Fatalf("API servers: %v, %v", servers, err)
	}
	if err := servers[0].Stop(); err != nil {
		s.Fatal(err)
	}
	resume := func() {
		if err := servers[0].Continue(); err != nil {
			s.Error(err)
		}
	}
	defer resume()
	process, err := os.FindProcess(s.pid(pod))
	if err != nil {
		s.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		s.Fatal(err)
	}
	s.awaitDeath(s.pid(pod))
	s.await("the pod to answer again", func() error {
		_, err := s.ask(pod)
		return err
	})
	resume()
	s.awaitPod("alone", "started again", func(pod *v1.Pod) bool {
		return isReady(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1
	})
}

// testRestoredEtcd has a pod become ready after the copy was made that etcd is restored from, and another one be created after that.
func testRestoredEtcd(s *suite) {
	s.restore(func(resume func()) { resume() })
}

// testRestoredEtcdMeanwhile has the kubelet pause until as much was written as was lost: its revision stands for something else then.
func testRestoredEtcdMeanwhile(s *suite) {
	s.restore(func(resume func()) {
		before := s.revision()
		if err := s.kubelet().Stop(); err != nil {
			s.Fatal(err)
		}
		defer func() {
			for s.revision() <= before {
				s.apply(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "written-"}})
			}
			if err := s.kubelet().Continue(); err != nil {
				s.Fatal(err)
			}
		}()
		resume()
	})
}

func (s *suite) restore(during func(resume func())) {
	s.create(s.pod("probed", func(pod *v1.Pod) {
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		pod.Spec.Containers[0].ReadinessProbe = healthz(1, 1)
	}))
	pod := s.awaitReady("probed")
	s.tell(pod, "/unhealthy")
	s.awaitPod("probed", "not ready", func(pod *v1.Pod) bool { return !isReady(pod) })
	if err := s.Backup(); err != nil {
		s.Fatal(err)
	}
	s.tell(pod, "/healthy")
	s.awaitReady("probed")
	during(func() {
		if err := s.Restore(s.ctx); err != nil {
			s.Fatal(err)
		}
		s.create(s.pod("later", nil))
	})
	s.awaitReady("probed")
	s.awaitReady("later")
}

// revision is the one that the API is at.
func (s *suite) revision() int {
	s.Helper()
	pods, err := s.Kubernetes().CoreV1().Pods(s.namespace).List(s.ctx, metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	revision, err := strconv.Atoi(pods.ResourceVersion)
	if err != nil {
		s.Fatal(err)
	}
	return revision
}
