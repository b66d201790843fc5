package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
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

// productImage is the image that runs for real on the nodes of a cluster. Among its programs is the kubelet's own, which
// can be an echo server too.
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

func TestNodesRunPods(t *testing.T) {
	c := cluster.New(t, cluster.Config{Nodes: 2, Families: []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}})
	run := func(name string, test func(*suite)) {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, Cluster: c, ctx: t.Context()}
			s.newNamespace()
			test(s)
		})
	}
	run("a new node awaits its cloud provider", testNewNode)
	s := &suite{T: t, Cluster: c, ctx: t.Context()}
	for _, node := range c.Nodes() {
		s.untaint(node.Name)
	}
	run("pods answer in every protocol and family, across nodes", testReachability)
	run("containers of known images run as their manifest says", testRealContainer)
	run("readiness follows the probe", testReadiness)
	run("a container that fails its liveness probe starts again", testLiveness)
	run("an ended container starts again and is counted", testRestart)
	run("a pod that is done stays done", testCompletion)
	run("a container without what it refers to waits for it", testMissingReference)
	run("a terminating pod serves until it stops", testGracefulDeletion)
	run("a pod is killed when its grace period is over", testGracePeriod)
	run("a pod removed by force is killed", testForcedDeletion)
	run("a restarted kubelet starts its pods again", testKubeletRestart)
	run("pods die with their kubelet, and deleted ones are gone when it is back", testKubeletDeath)
	run("containers start again while the API server is away", testWithoutAPIServer)
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

func testNewNode(s *suite) {
	node, err := s.Kubernetes().CoreV1().Nodes().Get(s.ctx, "n1", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	want := v1.Taint{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: v1.TaintEffectNoSchedule}
	if len(node.Spec.Taints) == 0 || node.Spec.Taints[0] != want {
		s.Errorf("taints: %v", node.Spec.Taints)
	}
	ips := s.Node("n1").IPs()
	if got, want := node.Annotations["alpha.kubernetes.io/provided-node-ip"], ips[0].String()+","+ips[1].String(); got != want {
		s.Errorf("provided-node-ip is %q, want %q", got, want)
	}
	if len(node.Spec.PodCIDRs) != 2 || node.Spec.PodCIDR != node.Spec.PodCIDRs[0] {
		s.Errorf("pod CIDRs: %q, %q", node.Spec.PodCIDR, node.Spec.PodCIDRs)
	}
	if node.Labels[v1.LabelHostname] != "n1" || node.Spec.ProviderID != "" {
		s.Errorf("labels %v, provider ID %q", node.Labels, node.Spec.ProviderID)
	}
}

func testReachability(s *suite) {
	for _, node := range []string{"n1", "n2"} {
		s.create(s.pod("echo-"+node, func(pod *v1.Pod) {
			pod.Spec.NodeName = node
			pod.Spec.Containers[0].Ports = []v1.ContainerPort{
				{ContainerPort: 8080}, {ContainerPort: 7, Name: "tcp"}, {ContainerPort: 53, Protocol: v1.ProtocolUDP},
			}
			pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "ECHO_MESSAGE", Value: "v1"}}
		}))
	}
	for _, name := range []string{"echo-n1", "echo-n2"} {
		pod := s.awaitReady(name)
		if len(pod.Status.PodIPs) != 2 || len(pod.Status.HostIPs) != 2 {
			s.Fatalf("addresses of %s: %v, %v", name, pod.Status.PodIPs, pod.Status.HostIPs)
		}
		for i, ip := range pod.Status.PodIPs {
			addr := netip.MustParseAddr(ip.IP)
			for network, port := range map[string]uint16{"tcp": 7, "udp": 53} {
				answer := s.askRaw(network, netip.AddrPortFrom(addr, port))
				if answer.Pod != name || answer.Namespace != s.namespace || answer.Node != pod.Spec.NodeName || answer.Message != "v1" {
					s.Errorf("%s over %s: %+v", name, network, answer)
				}
				if name == "echo-n2" && answer.Client.Addr() != s.Node("n1").IPs()[i] {
					s.Errorf("%s sees client %s of another node", name, answer.Client)
				}
			}
		}
		answer, err := s.ask(pod)
		if err != nil || answer.Pod != name || answer.Path != "/" {
			s.Errorf("%s over HTTP: %+v, %v", name, answer, err)
		}
	}
}

// askRaw sends a word from node n1 and gives the answer.
func (s *suite) askRaw(network string, to netip.AddrPort) echo.Answer {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	conn, err := s.Node("n1").DialContext(ctx, network, to.String())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		s.Fatal(err)
	}
	var buffer [1024]byte
	n, err := conn.Read(buffer[:])
	if err != nil {
		s.Fatal(err)
	}
	line, _, _ := strings.Cut(string(buffer[:n]), "\n")
	answer, err := echo.Parse(line)
	if err != nil {
		s.Fatal(err)
	}
	return answer
}

func testRealContainer(s *suite) {
	s.apply(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config"}, Data: map[string]string{"key": "from config"}},
		&v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}, StringData: map[string]string{"key": "from secret"}})
	s.create(s.pod("real", func(pod *v1.Pod) {
		pod.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(65532))}
		pod.Spec.InitContainers = []v1.Container{
			{Name: "unknown", Image: "example.org/init"},
			{Name: "known", Image: productImage, Command: []string{"/kubelet", "--help"}},
		}
		pod.Spec.Volumes = []v1.Volume{
			{Name: "scratch", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
			{Name: "config", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "config"}}}},
		}
		pod.Spec.Containers = []v1.Container{{
			Name: "real", Image: productImage, Command: []string{"/kubelet"},
			Args: []string{"echo", "--http=8080", "--pod=$(POD)", "--node=$(NODE)", "--namespace=$$(NODE)"},
			Env: []v1.EnvVar{
				{Name: "POD", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
				{Name: "NODE", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
				{Name: "ECHO_MESSAGE", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{
					LocalObjectReference: v1.LocalObjectReference{Name: "secret"}, Key: "key",
				}}},
			},
			SecurityContext: &v1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities: &v1.Capabilities{Drop: []v1.Capability{"ALL"}, Add: []v1.Capability{"NET_RAW"}},
			},
			ReadinessProbe: &v1.Probe{
				PeriodSeconds: 1, TimeoutSeconds: 30,
				ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"/kubelet", "--help"}}},
			},
			VolumeMounts: []v1.VolumeMount{{Name: "scratch", MountPath: "/tmp"}, {Name: "config", MountPath: "/etc/config"}},
		}}
	}))
	pod := s.awaitReady("real")
	var answer echo.Answer
	s.await("an answer", func() (err error) {
		answer, err = s.ask(pod)
		return err
	})
	if answer.Pod != "real" || answer.Node != "n1" || answer.Namespace != "$(NODE)" || answer.Message != "from%20secret" {
		s.Errorf("it answers %+v", answer)
	}
	process := fmt.Sprintf("/proc/%d/", s.pid(pod))
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532\n", "CapBnd:\t0000000000002000\n", "CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
		if status := s.read(process + "status"); !strings.Contains(status, want) {
			s.Errorf("status of the process lacks %q:\n%s", want, status)
		}
	}
	root := process + "root/"
	if got := s.read(root + "etc/config/key"); got != "from config" {
		s.Errorf("the config map has %q", got)
	}
	if err := os.WriteFile(root+"file", nil, 0o644); err == nil {
		s.Error("the root file system can be written to")
	}
	if err := os.WriteFile(root+"tmp/file", nil, 0o644); err != nil {
		s.Error(err)
	}
	const account = "var/run/secrets/kubernetes.io/serviceaccount/"
	if got := s.read(root + account + "namespace"); got != s.namespace {
		s.Errorf("the namespace is %q", got)
	}
	if !strings.Contains(s.read(root+account+"ca.crt"), "BEGIN CERTIFICATE") || strings.Count(s.read(root+account+"token"), ".") != 2 {
		s.Error("the credentials are not a certificate and a token")
	}
	environ := s.read(process + "environ")
	if !strings.Contains(environ, "KUBERNETES_SERVICE_HOST=10.96.0.1\x00") || !strings.Contains(environ, "HOSTNAME=real\x00") {
		s.Errorf("environment: %q", environ)
	}
	if log := s.read(filepath.Join(s.LogDir(), "n1", s.namespace+"_real_real.log")); !strings.Contains(log, "serving http=[8080]") {
		s.Errorf("log: %q", log)
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

func testMissingReference(s *suite) {
	s.create(s.pod("waiting", func(pod *v1.Pod) {
		pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "ECHO_MESSAGE", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{
			LocalObjectReference: v1.LocalObjectReference{Name: "late"}, Key: "key",
		}}}}
	}))
	s.awaitPod("waiting", "waiting", func(pod *v1.Pod) bool {
		return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Waiting != nil &&
			pod.Status.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
	s.apply(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Data: map[string]string{"key": "arrived"}})
	if answer, err := s.ask(s.awaitReady("waiting")); err != nil || answer.Message != "arrived" {
		s.Errorf("it answers %+v, %v", answer, err)
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
