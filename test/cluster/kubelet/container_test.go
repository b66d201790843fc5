package main

import (
	"reflect"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

func TestEchoServesTheDeclaredPorts(t *testing.T) {
	pod := func(containers ...v1.Container) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Spec: v1.PodSpec{NodeName: "n", Containers: containers}}
	}
	silent := v1.Container{Name: "silent"}
	web := v1.Container{Name: "web", Ports: []v1.ContainerPort{
		{ContainerPort: 80}, {ContainerPort: 443, Name: "https", Protocol: v1.ProtocolTCP}, {ContainerPort: 53, Protocol: v1.ProtocolUDP},
		{ContainerPort: 7, Name: "tcp"}, {ContainerPort: 8, Name: "tcp-echo"}, {ContainerPort: 9, Protocol: v1.ProtocolSCTP},
	}}
	base := echo.Config{Pod: "p", Namespace: "ns", Node: "n"}
	declared, standard := base, base
	declared.HTTP, declared.TCP, declared.UDP = []uint16{80, 443}, []uint16{7, 8}, []uint16{53}
	standard.HTTP = []uint16{8080}
	for _, test := range []struct {
		name string
		pod  *v1.Pod
		of   v1.Container
		want echo.Config
	}{
		{"declared ports", pod(web), web, declared},
		{"no ports at all", pod(silent, v1.Container{Name: "other"}), silent, standard},
		{"only the first serves the standard port", pod(v1.Container{Name: "other"}, silent), silent, base},
		{"none where a neighbour declares some", pod(silent, web), silent, base},
	} {
		if got := echoConfig(test.pod, &test.of); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestEntryPointIsNamedLikeTheImage(t *testing.T) {
	variables := map[string]string{"N": "n1"}
	for _, test := range []struct {
		of   v1.Container
		want []string
	}{
		{v1.Container{Image: "example.org/x/announcer:v1"}, []string{"/announcer"}},
		{v1.Container{Image: "example.org/x/announcer:v1", Args: []string{"--node=$(N)"}}, []string{"/announcer", "--node=n1"}},
		{v1.Container{Image: "example.org/x/all", Command: []string{"/ccm", "$(N)"}, Args: []string{"a"}}, []string{"/ccm", "n1", "a"}},
	} {
		if got := commandLine(&test.of, variables); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: got %q, want %q", test.of, got, test.want)
		}
	}
}

func TestRestartCountsGoOnAfterARestartOfTheKubelet(t *testing.T) {
	spec := &v1.Container{Name: "c"}
	ran := v1.ContainerStatus{Name: "c", RestartCount: 2, ContainerID: "process://1", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}
	for _, test := range []struct {
		name   string
		before v1.ContainerStatus
		count  int32
		ended  int32
	}{
		{"never started", creating, 0, -1},
		{"ran", ran, 3, 137},
		{"had ended", v1.ContainerStatus{Name: "c", State: exited(4)}, 1, 4},
		{"was held back", v1.ContainerStatus{Name: "c", RestartCount: 7, State: backOff.State, LastTerminationState: exited(5)}, 8, 5},
		{"of another name", v1.ContainerStatus{Name: "d", RestartCount: 5, State: exited(4)}, 0, -1},
	} {
		c := newContainer(nil, spec, v1.RestartPolicyAlways, []v1.ContainerStatus{test.before})
		got := c.snapshot()
		ended := int32(-1)
		if t := got.LastTerminationState.Terminated; t != nil {
			ended = t.ExitCode
		}
		if got.RestartCount != test.count || ended != test.ended {
			t.Errorf("%s: %d restarts and last exit code %d, want %d and %d", test.name, got.RestartCount, ended, test.count, test.ended)
		}
	}
}
