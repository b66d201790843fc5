package chart

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/diff"
)

const (
	managedBy = "app.kubernetes.io/managed-by"
	keep      = "helm.sh/resource-policy"
)

func TestTheChartIsWhatKustomizeBuilds(t *testing.T) {
	for overlay, values := range map[string]string{
		".":                              ``,
		"overlays/default":               ``,
		"overlays/ha":                    `controller: {replicas: 2}`,
		"overlays/load-balancer-only":    `controller: {loadBalancerOnly: true}`,
		"overlays/withdraw-endpoints":    `withdrawEndpointsOfDeadNodes: true`,
		"overlays/prometheus":            `prometheus: {serviceMonitor: {enabled: true}, rules: {enabled: true}, dashboard: {enabled: true}}`,
		"overlays/prometheus-podmonitor": `prometheus: {podMonitor: {enabled: true}, rules: {enabled: true}, dashboard: {enabled: true}}`,
	} {
		t.Run(overlay, func(t *testing.T) {
			want, got := kustomized(t, overlay), rendered(t, values)
			if len(want) < 30 {
				t.Errorf("there are only %d objects", len(want))
			}
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if got[key] == nil {
					t.Errorf("the chart has no %s", key)
					continue
				}
				if w, g := meaning(t, want[key], "kustomize"), meaning(t, got[key], "Helm"); !reflect.DeepEqual(w, g) {
					t.Errorf("%s:\n%s", key, diff.Diff(w, g))
				}
			}
			for key := range got {
				if want[key] == nil {
					t.Errorf("only the chart has %s", key)
				}
			}
		})
	}
}

// meaning is an object without what says by which tool it is managed, which is checked.
func meaning(t *testing.T, object *unstructured.Unstructured, tool string) map[string]any {
	t.Helper()
	object = object.DeepCopy()
	labels := [][]string{{"metadata", "labels", managedBy}}
	if _, ok, _ := unstructured.NestedMap(object.Object, "spec", "template", "metadata"); ok {
		labels = append(labels, []string{"spec", "template", "metadata", "labels", managedBy})
	}
	for _, path := range labels {
		if by, _, _ := unstructured.NestedString(object.Object, path...); by != tool {
			t.Errorf("%s %s: %v is %q, want %q", object.GetKind(), object.GetName(), path, by, tool)
		}
		unstructured.RemoveNestedField(object.Object, path...)
	}
	if annotations := object.GetAnnotations(); annotations[keep] != "" {
		delete(annotations, keep)
		object.SetAnnotations(annotations)
		if len(annotations) == 0 {
			unstructured.RemoveNestedField(object.Object, "metadata", "annotations")
		}
	}
	return object.Object
}

func TestUninstallingKeepsWhatUsersHave(t *testing.T) {
	for key, object := range rendered(t, ``) {
		kept := object.GetKind() == "CustomResourceDefinition" || object.GetKind() == "Namespace"
		if policy := object.GetAnnotations()[keep]; (policy == "keep") != kept {
			t.Errorf("%s: %s is %q", key, keep, policy)
		}
	}
}
