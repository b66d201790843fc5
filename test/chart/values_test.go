package chart

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

var update = flag.Bool("update", false, "write the table of values into docs/install.md")

func TestHelmFindsNoFault(t *testing.T) {
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range lint.RunAll(dir, nil, metav1.NamespaceSystem).Messages {
		if !strings.Contains(message.Error(), "icon is recommended") { // we have none
			t.Error(message)
		}
	}
}

// nested is YAML for a value at a path such as "controller.image.tag".
func nested(path, value string) string {
	names := strings.Split(path, ".")
	return strings.Join(names, ": {") + ": " + value + strings.Repeat("}", len(names)-1)
}

func TestEveryValueMayBeNullAndEmpty(t *testing.T) {
	want := rendered(t, ``)
	for _, v := range values(t) {
		for text, suits := range map[string]bool{"null": true, `""`: takes(v.schema, "string"), "[]": isA[[]any](v), "{}": isA[map[string]any](v)} {
			if !suits {
				continue
			}
			got := rendered(t, nested(v.path, text))
			if len(got) != len(want) {
				t.Errorf("%s: %s: %d objects, want %d", v.path, text, len(got), len(want))
			}
		}
	}
	for _, part := range []string{"image", "apiServer", "crds", "controller", "announcer", "prometheus", "prometheus.serviceMonitor", "controller.resources.limits"} {
		if got := rendered(t, nested(part, "null")); len(got) != len(want) {
			t.Errorf("%s: null: %d objects, want %d", part, len(got), len(want))
		}
	}
}

func takes(s *schema, name string) bool {
	types, ok := s.Type.([]any)
	return ok && slices.Contains(types, any(name)) || slices.Contains(s.Enum, any(""))
}

func isA[T any](v value) bool {
	_, ok := v.byValue.(T)
	return ok
}

func TestValuesThatNobodyKnowsAreRefused(t *testing.T) {
	for _, values := range []string{
		`replicas: 2`,
		`controller: {replica: 2}`,
		`controller: {replicas: 0}`,
		`controller: {replicas: "2"}`,
		`controller: {image: {registry: example.com}}`,
		`controller: {resources: {limit: {memory: 2Gi}}}`,
		`controller: {extraArgs: {v: 4}}`,
		`announcer: {replicas: 2}`,
		`announcer: {tolerations: [{key: a, operator: exists}]}`,
		`announcer: {podAnnotations: {a: 1}}`,
		`image: {pullPolicy: always}`,
		`image: {tag: 1.0}`,
		`imagePullSecrets: [registry]`,
		`apiServer: {port: 0}`,
		`apiServer: {port: https}`,
		`crds: {enabled: "no"}`,
		`prometheus: {enabled: true}`,
		`networkPolicies: {enabled: true}`,
	} {
		if _, _, err := render(inKubeSystem, values); err == nil || !strings.Contains(err.Error(), "values don't meet the specifications of the schema") {
			t.Errorf("%s: %v, want the schema to refuse it", values, err)
		}
	}
}

// typed reads an object of the chart with these values.
func typed[T any](t *testing.T, key, values string) *T {
	t.Helper()
	object := rendered(t, values)[key]
	if object == nil {
		t.Fatalf("there is no %s", key)
	}
	var result T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &result, true); err != nil {
		t.Fatal(err)
	}
	return &result
}

const (
	deployment = "Deployment kube-system/clarion-cloud-controller-manager"
	daemonSet  = "DaemonSet clarion-system/announcer"
)

func TestValuesReachThePods(t *testing.T) {
	all := `{
		image: {repository: example.com/clarion, tag: v1.2.3@sha256:abc, pullPolicy: Always},
		extraArgs: [--v=4],
		resources: {limits: {memory: 2Gi, cpu: 2}, requests: {memory: null}},
		nodeSelector: {zone: a},
		affinity: {},
		tolerations: [],
		priorityClassName: high,
		podAnnotations: {example.com/a: b},
	}`
	common := `imagePullSecrets: [{name: registry}], apiServer: {host: 192.0.2.1, port: 6443}`
	for _, pod := range []*corev1.PodTemplateSpec{
		&typed[appsv1.Deployment](t, deployment, "{controller: "+all+", "+common+"}").Spec.Template,
		&typed[appsv1.DaemonSet](t, daemonSet, "{announcer: "+all+", "+common+"}").Spec.Template,
	} {
		container := pod.Spec.Containers[0]
		env := map[string]string{}
		for _, variable := range container.Env {
			env[variable.Name] = variable.Value
		}
		limits, requests := container.Resources.Limits, container.Resources.Requests
		got := fmt.Sprintln(container.Image, container.ImagePullPolicy, container.Args[len(container.Args)-1], limits.Memory(), limits.Cpu(),
			len(requests), requests.Cpu().IsZero(), env["GOMEMLIMIT"], env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"],
			pod.Spec.NodeSelector, pod.Spec.Affinity, pod.Spec.Tolerations, pod.Spec.PriorityClassName, pod.Annotations, pod.Spec.ImagePullSecrets)
		want := "example.com/clarion:v1.2.3@sha256:abc Always --v=4 2Gi 2 1 false 1843MiB 192.0.2.1 6443 " +
			"map[kubernetes.io/os:linux zone:a] &Affinity{NodeAffinity:nil,PodAffinity:nil,PodAntiAffinity:nil,} [] high map[example.com/a:b] [{registry}]"
		if strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestTheAPIServerHasAPort(t *testing.T) {
	for values, want := range map[string]string{
		``:                                     "",
		`apiServer: {host: 192.0.2.1}`:         "192.0.2.1:6443",
		`apiServer: {host: "", port: null}`:    "",
		`apiServer: {host: api, port: "8443"}`: "api:8443",
	} {
		env := map[string]string{}
		for _, variable := range typed[appsv1.DaemonSet](t, daemonSet, values).Spec.Template.Spec.Containers[0].Env {
			env[variable.Name] = variable.Value
		}
		got := strings.Trim(env["KUBERNETES_SERVICE_HOST"]+":"+env["KUBERNETES_SERVICE_PORT"], ":")
		if got != want {
			t.Errorf("%s: %s, want %s", values, got, want)
		}
	}
}

func TestTheSoftLimitOfMemoryFollowsTheLimit(t *testing.T) {
	for limit, want := range map[string]string{"512Mi": "460MiB", "1Gi": "921MiB", "2G": "off", "null": "off"} {
		set := typed[appsv1.DaemonSet](t, daemonSet, "announcer: {resources: {limits: {memory: "+limit+"}}}")
		for _, variable := range set.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "GOMEMLIMIT" && variable.Value != want {
				t.Errorf("%s: the soft limit is %s, want %s", limit, variable.Value, want)
			}
		}
	}
}

func TestTheImageOfOneProgramGoesBeforeThatOfBoth(t *testing.T) {
	values := `{image: {repository: example.com/both, tag: v1}, announcer: {image: {tag: v2}}}`
	if got := typed[appsv1.Deployment](t, deployment, values).Spec.Template.Spec.Containers[0].Image; got != "example.com/both:v1" {
		t.Errorf("the cloud-controller-manager has %s", got)
	}
	if got := typed[appsv1.DaemonSet](t, daemonSet, values).Spec.Template.Spec.Containers[0].Image; got != "example.com/both:v2" {
		t.Errorf("the announcer has %s", got)
	}
}

func TestWithoutCRDsTheRestIsTheSame(t *testing.T) {
	with, without := rendered(t, ``), rendered(t, `crds: {enabled: false}`)
	maps.DeleteFunc(with, func(key string, _ *unstructured.Unstructured) bool {
		return strings.HasPrefix(key, "CustomResourceDefinition ")
	})
	if !slices.Equal(slices.Sorted(maps.Keys(with)), slices.Sorted(maps.Keys(without))) {
		t.Errorf("got %v", slices.Sorted(maps.Keys(without)))
	}
}

func TestPrometheusIsWhoTheValuesSay(t *testing.T) {
	got := rendered(t, `prometheus: {serviceMonitor: {enabled: true, labels: {release: stack}}, serviceAccount: {name: prom, namespace: watch}}`)
	for _, key := range []string{"ServiceMonitor clarion-system/announcer", "ServiceMonitor kube-system/clarion-cloud-controller-manager"} {
		if label := got[key].GetLabels()["release"]; label != "stack" {
			t.Errorf("the label of %s is %q", key, label)
		}
	}
	if text := fmt.Sprint(got["ClusterRoleBinding /clarion-announcer:auth-delegator"].Object["subjects"]); !strings.Contains(text, "name:announcer namespace:clarion-system") {
		t.Errorf("who asks the API server about tokens is %s", text)
	}
	bindings := 0
	for key, object := range got {
		if object.GetName() != "clarion-prometheus" || !strings.Contains(key, "Binding ") {
			continue
		}
		bindings++
		if text := fmt.Sprint(object.Object["subjects"]); !strings.Contains(text, "name:prom namespace:watch") {
			t.Errorf("%s: %s", key, text)
		}
	}
	if bindings != 3 {
		t.Errorf("%d bindings, want 3", bindings)
	}
}

// TestPodMonitorsScrapeWhatServiceMonitorsDo compares them: the same programs, ports and manner, and the same labels job and instance.
func TestPodMonitorsScrapeWhatServiceMonitorsDo(t *testing.T) {
	got := rendered(t, `prometheus: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true, labels: {release: stack}}}`)
	for name, namespace := range map[string]string{"announcer": "clarion-system", "clarion-cloud-controller-manager": "kube-system"} {
		services, pods, service := got["ServiceMonitor "+namespace+"/"+name], got["PodMonitor clarion-system/"+name], got["Service "+namespace+"/"+name]
		if services == nil || pods == nil || service == nil {
			t.Errorf("%s is not scraped both ways", name)
			continue
		}
		if label := pods.GetLabels()["release"]; label != "stack" {
			t.Errorf("the label of the PodMonitor %s is %q", name, label)
		}
		endpoint := func(monitor *unstructured.Unstructured, field string) map[string]any {
			list, _, err := unstructured.NestedSlice(monitor.Object, "spec", field)
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %v, %v", name, list, err)
			}
			return list[0].(map[string]any)
		}
		byService, byPod := endpoint(services, "endpoints"), endpoint(pods, "podMetricsEndpoints")
		ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
		if port := ports[0].(map[string]any); port["name"] != byService["port"] || port["targetPort"] != byPod["port"] {
			t.Errorf("%s: the ports are %v of %v, and %v", name, byService["port"], port, byPod["port"])
		}
		if !reflect.DeepEqual(byService["tlsConfig"], byPod["tlsConfig"]) || byService["scheme"] != byPod["scheme"] {
			t.Errorf("%s: %v and %v", name, byService, byPod)
		}
		if secret, _, _ := unstructured.NestedString(byPod, "authorization", "credentials", "name"); got["Secret clarion-system/"+secret] == nil {
			t.Errorf("%s: there is no Secret %s", name, secret)
		}
		selected, _, _ := unstructured.NestedMap(pods.Object, "spec", "selector", "matchLabels")
		if byName, _, _ := unstructured.NestedMap(service.Object, "spec", "selector"); !reflect.DeepEqual(selected, byName) {
			t.Errorf("%s: the pods are %v and %v", name, byName, selected)
		}
		in, _, _ := unstructured.NestedStringSlice(pods.Object, "spec", "namespaceSelector", "matchNames")
		if namespace != pods.GetNamespace() && !slices.Equal(in, []string{namespace}) {
			t.Errorf("%s: the pods are looked for in %v", name, in)
		}
		// The job of a ServiceMonitor is the name of the Service.
		if label, _, _ := unstructured.NestedString(pods.Object, "spec", "jobLabel"); selected[label] != service.GetName() {
			t.Errorf("%s: the job is the label %s, %v", name, label, selected[label])
		}
	}
}

func TestTheNamespaceOfTheReleaseIsNotTheCharts(t *testing.T) {
	manifests, notes, err := render(common.ReleaseOptions{Name: "clarion", Namespace: "clarion-system", IsInstall: true}, ``)
	if err != nil {
		t.Fatal(err)
	}
	got := objects{}
	for _, text := range manifests {
		got.parse(t, text)
	}
	if got["Namespace /clarion-system"] != nil || got["Namespace /clarion-bgp"] == nil {
		t.Error("of the two namespaces only clarion-bgp should be the chart's")
	}
	if !strings.Contains(notes, "pod-security.kubernetes.io/enforce=privileged") {
		t.Errorf("the notes do not say what to do:\n%s", notes)
	}
}

func TestTheNotesSayTheNextStep(t *testing.T) {
	_, notes, err := render(inKubeSystem, ``)
	if err != nil || !strings.Contains(notes, "kind: IPAddressPool") || strings.Contains(notes, "pod-security") {
		t.Errorf("%v:\n%s", err, notes)
	}
}

// TestTheDocumentationHasEveryValue holds the table in docs/install.md against the schema and
// values.yaml. With -update it writes the table.
func TestTheDocumentationHasEveryValue(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Value | Default | Meaning |\n|---|---|---|\n")
	for _, v := range values(t) {
		standard, err := json.Marshal(v.byValue)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.path, standard, v.schema.Description)
	}
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "install.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- values: go test ./chart -update -->\n", "<!-- end of values -->"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, alsoOK := strings.Cut(rest, end)
	if !ok || !alsoOK {
		t.Fatalf("%s has no place for the table", path)
	}
	want := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("the table in docs/install.md is out of date: cd test && go test ./chart -update")
	}
}
