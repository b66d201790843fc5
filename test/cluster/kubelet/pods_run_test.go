package main_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

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
