package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/echo"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// productImage is the image that runs for real on the nodes of a cluster. Among its programs is the
// kubelet's own, which can be an echo server too.
const productImage = "ghcr.io/clarionlb/clarion:test"

// patience is for a busy machine: whatever is awaited happens within seconds.
const patience = 90 * time.Second

// suite is one cluster that the tests here share, each with a namespace of its own.
type suite struct {
	*testing.T
	*cluster.Cluster
	ctx       context.Context
	namespace string
}

func (s *suite) newNamespace() {
	s.Helper()
	namespace, err := s.Kubernetes().CoreV1().Namespaces().Create(s.ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	s.namespace = namespace.Name
	s.await("the namespace's default ServiceAccount", func() error {
		_, err := s.Kubernetes().CoreV1().ServiceAccounts(s.namespace).Get(s.ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (s *suite) untaint(node string) {
	s.Helper()
	patch := []byte(`{"spec":{"taints":null}}`)
	if _, err := s.Kubernetes().CoreV1().Nodes().Patch(s.ctx, node, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		s.Fatal(err)
	}
}

// await waits until condition gives no error.
func (s *suite) await(what string, condition func() error) {
	s.Helper()
	var last error
	err := wait.PollUntilContextTimeout(s.ctx, 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		s.Fatalf("waiting for %s: %v: %v", what, err, last)
	}
}

// pod is a pod with one echo server on port 8080 of node n1.
func (s *suite) pod(name string, edit func(*v1.Pod)) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace},
		Spec: v1.PodSpec{
			NodeName:                      "n1",
			TerminationGracePeriodSeconds: ptr.To(int64(600)),
			Containers:                    []v1.Container{{Name: "echo", Image: "example.org/echo"}},
		},
	}
	if edit != nil {
		edit(pod)
	}
	return pod
}

func (s *suite) create(pod *v1.Pod) {
	s.Helper()
	if _, err := s.Kubernetes().CoreV1().Pods(s.namespace).Create(s.ctx, pod, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) get(name string) (*v1.Pod, error) {
	return s.Kubernetes().CoreV1().Pods(s.namespace).Get(s.ctx, name, metav1.GetOptions{})
}

// awaitPod waits for a pod to be as wanted, and gives it.
func (s *suite) awaitPod(name, what string, wanted func(*v1.Pod) bool) *v1.Pod {
	s.Helper()
	var pod *v1.Pod
	s.await(name+" to be "+what, func() (err error) {
		if pod, err = s.get(name); err == nil && !wanted(pod) {
			status, _ := json.Marshal(pod.Status)
			err = fmt.Errorf("status is %s", status)
		}
		return err
	})
	return pod
}

func (s *suite) awaitReady(name string) *v1.Pod {
	s.Helper()
	return s.awaitPod(name, "ready", isReady)
}

func isReady(pod *v1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == v1.PodReady {
			return condition.Status == v1.ConditionTrue
		}
	}
	return false
}

func (s *suite) awaitGone(name string) {
	s.Helper()
	s.await(name+" to be gone", func() error {
		_, err := s.get(name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there (%v)", err)
	})
}

func (s *suite) delete(name string, options metav1.DeleteOptions) {
	s.Helper()
	if err := s.Kubernetes().CoreV1().Pods(s.namespace).Delete(s.ctx, name, options); err != nil {
		s.Fatal(err)
	}
}

// pid gives the process of a pod's first container.
func (s *suite) pid(pod *v1.Pod) int {
	s.Helper()
	pid, err := strconv.Atoi(strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "process://"))
	if err != nil {
		s.Fatal(err)
	}
	return pid
}

func alive(pid int) bool {
	// A process that nobody has reaped yet has no command line any more.
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(content) > 0
}

func (s *suite) awaitDeath(pid int) {
	s.Helper()
	s.await(fmt.Sprintf("process %d to die", pid), func() error {
		if alive(pid) {
			return fmt.Errorf("it lives")
		}
		return nil
	})
}

// request asks a server from a host.
func request(ctx context.Context, from *network.Host, method, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func (s *suite) url(pod *v1.Pod, path string) string {
	return fmt.Sprintf("http://%s:8080%s", pod.Status.PodIP, path)
}

func (s *suite) ask(pod *v1.Pod) (echo.Answer, error) {
	body, err := request(s.ctx, s.Node("n1").Host, http.MethodGet, s.url(pod, "/"))
	if err != nil {
		return echo.Answer{}, err
	}
	return echo.Parse(body)
}

func (s *suite) tell(pod *v1.Pod, path string) {
	s.Helper()
	if _, err := request(s.ctx, s.Node("n1").Host, http.MethodPost, s.url(pod, path)); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) apply(objects ...metav1.Object) {
	s.Helper()
	for _, object := range objects {
		var err error
		switch object := object.(type) {
		case *v1.ConfigMap:
			_, err = s.Kubernetes().CoreV1().ConfigMaps(s.namespace).Create(s.ctx, object, metav1.CreateOptions{})
		case *v1.Secret:
			_, err = s.Kubernetes().CoreV1().Secrets(s.namespace).Create(s.ctx, object, metav1.CreateOptions{})
		}
		if err != nil {
			s.Fatal(err)
		}
	}
}

func (s *suite) read(path string) string {
	s.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return string(content)
}

func (s *suite) service(name string) {
	s.Helper()
	_, err := s.Kubernetes().CoreV1().Services(s.namespace).Create(s.ctx, &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []v1.ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
}

func healthz(seconds, failures int32) *v1.Probe {
	return &v1.Probe{
		PeriodSeconds: seconds, FailureThreshold: failures, TimeoutSeconds: 30,
		ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("web")}},
	}
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
