package uninstall

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/scope"
)

// service has an address, by Clarion unless change says something else.
func service(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Finalizers: []string{"example.com/other", scope.Finalizer},
			Annotations: map[string]string{"clarionlb.io/addresses": "192.0.2.1", "example.com/a": "b"}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}},
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned}, {Type: "example.com/Other"}, {Type: v1alpha1.ConditionAnnounced}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

func byAnother(s *corev1.Service) { s.Status.Conditions, s.Annotations = nil, nil }

func TestWhichServicesHaveAddressesOfClarion(t *testing.T) {
	for _, test := range []struct {
		name           string
		change         func(*corev1.Service)
		carries, alive bool
	}{
		{"of Clarion", nil, true, true},
		{"of another load balancer", byAnother, false, false},
		{"of another load balancer, with an annotation of ours", func(s *corev1.Service) { s.Status.Conditions = nil }, true, false},
		{"without an address", func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil }, true, false},
		{"of another type by now", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }, true, false},
		{"being deleted", func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, true, false},
	} {
		s := service("a", test.change)
		if got := carries(s); got != test.carries {
			t.Errorf("%s: carries something of Clarion: %t", test.name, got)
		}
		if got := len(withAddresses([]corev1.Service{*s})) > 0; got != test.alive {
			t.Errorf("%s: has addresses of Clarion: %t", test.name, got)
		}
	}
}

func TestServicesAreGivenUpWithOrWithoutTheirAddresses(t *testing.T) {
	for _, release := range []bool{false, true} {
		kube := fake.NewClientset([]runtime.Object{service("ours", nil), service("foreign", byAnother)}...)
		var out bytes.Buffer
		r := &remover{Clients: &plugin.Clients{Kube: kube}, out: &out}
		for range 2 { // after an interruption
			if err := r.giveUp(t.Context(), release); err != nil {
				t.Fatal(err)
			}
		}
		get := func(name string) *corev1.Service {
			s, err := kube.CoreV1().Services("default").Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := get("ours")
		if !slices.Equal(s.Finalizers, []string{"example.com/other"}) || len(s.Status.Conditions) != 1 || len(s.Annotations) != 1 {
			t.Errorf("it carries %v, %v, %v", s.Finalizers, s.Status.Conditions, s.Annotations)
		}
		if has := len(s.Status.LoadBalancer.Ingress) > 0; has == release {
			t.Errorf("released: %t, and it has an address: %t", release, has)
		}
		if s := get("foreign"); len(s.Finalizers) != 2 || len(s.Status.LoadBalancer.Ingress) != 1 {
			t.Errorf("the Service of another load balancer is %+v", s)
		}
		if !strings.Contains(out.String(), "clarionlb.io/addresses: 192.0.2.1") {
			t.Errorf("what it asked for is not said:\n%s", &out)
		}
	}
}

func TestPodsThatNoKubeletEndsAreNotWaitedFor(t *testing.T) {
	node := func(name string, ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	labels := map[string]string{"a": "b"}
	for name, test := range map[string]struct {
		node   string
		ending bool
		ends   bool
	}{
		"it ends on a node that is down":     {"down", true, true},
		"it ends on a node that is gone":     {"gone", true, true},
		"it ends on a node that runs":        {"up", true, false},
		"nobody has told it to end so far":   {"down", false, false},
		"it waits for a node, and is to end": {"", true, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Labels: labels}, Spec: corev1.PodSpec{NodeName: test.node}}
		if test.ending {
			pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		kube := fake.NewClientset(node("up", corev1.ConditionTrue), node("down", corev1.ConditionUnknown), pod)
		var out bytes.Buffer
		r := &remover{Clients: &plugin.Clients{Kube: kube}, out: &out, timeout: 2 * poll}
		err := r.awaitNoPods(t.Context(), "n", &metav1.LabelSelector{MatchLabels: labels})
		if ended := err == nil; ended != test.ends {
			t.Errorf("%s: %v", name, err)
		}
		if said := strings.Contains(out.String(), "Pod n/p is removed without waiting for it: its node "+test.node+" is not ready"); said != test.ends {
			t.Errorf("%s: it says %q", name, &out)
		}
	}
}

var kindLine = regexp.MustCompile(`(?m)^apiVersion: (\S+)\n(?:#.*\n)*kind: (\S+)$`)

func TestEveryKindOfTheManifestsIsRemoved(t *testing.T) {
	const manifests = "../../../manifests"
	seen := 0
	err := filepath.WalkDir(manifests, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == "chart" || entry.Name() == "samples") {
				return fs.SkipDir
			}
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range kindLine.FindAllStringSubmatch(string(text), -1) {
			gv, err := schema.ParseGroupVersion(match[1])
			if err != nil {
				return err
			}
			if gv.Group == "kustomize.config.k8s.io" {
				continue
			}
			seen++
			if kind := (schema.GroupKind{Group: gv.Group, Kind: match[2]}); !slices.Contains(kinds, kind) {
				t.Errorf("%s has a %s, which is not removed", path, kind)
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Errorf("%d objects, %v", seen, err)
	}
}
