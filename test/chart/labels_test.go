package chart

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestEveryObjectHasTheRecommendedLabels(t *testing.T) {
	for _, overlay := range []string{".", "overlays/ha", "overlays/load-balancer-only", "overlays/prometheus", "overlays/prometheus-podmonitor", "overlays/withdraw-endpoints"} {
		for key, object := range kustomized(t, overlay) {
			for _, label := range []string{"name", "instance", "version", "component", "part-of", "managed-by"} {
				if object.GetLabels()["app.kubernetes.io/"+label] == "" {
					t.Errorf("%s: %s has no label %s", overlay, key, label)
				}
			}
		}
	}
}

// TestSelectorsStayAsTheyAre because the API server refuses a change of a workload's selector: an
// upgrade would fail.
func TestSelectorsStayAsTheyAre(t *testing.T) {
	all := kustomized(t, "overlays/ha")
	for key, name := range map[string]string{
		"Deployment kube-system/clarion-cloud-controller-manager":          "clarion-cloud-controller-manager",
		"PodDisruptionBudget kube-system/clarion-cloud-controller-manager": "clarion-cloud-controller-manager",
		"DaemonSet clarion-system/announcer":                               "announcer",
	} {
		selector, _, err := unstructured.NestedMap(all[key].Object, "spec", "selector")
		if want := fmt.Sprintf("map[matchLabels:map[app.kubernetes.io/name:%s]]", name); err != nil || fmt.Sprint(selector) != want {
			t.Errorf("the selector of %s is %v, want %s", key, selector, want)
		}
	}
}
