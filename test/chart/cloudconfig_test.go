package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// referenceConfig is the annotated cloud config.
func referenceConfig(t *testing.T) string {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "cloud-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheCloudConfigIsTheSameByKustomizeAndHelm builds the overlay that docs/nodes.md shows, with the component that
// deletes Nodes besides.
func TestTheCloudConfigIsTheSameByKustomizeAndHelm(t *testing.T) {
	dir := t.TempDir()
	overlay := strings.Replace(string(shownOverlay(t, "nodes.md", dir)), "components:\n", "components:\n- "+checkoutFrom(t, dir)+"/manifests/components/node-lifecycle\n", 1)
	for name, text := range map[string]string{"kustomization.yaml": overlay, "cloud-config.yaml": referenceConfig(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	hashed := regexp.MustCompile(`clarion-cloud-config-[a-z0-9]{10}`)
	if got := len(hashed.FindAll(built, -1)); got != 2 {
		t.Errorf("the ConfigMap has a name of its content in %d places, want 2", got)
	}
	want, got := objects{}, rendered(t, withCloudConfig(t, `nodeLifecycle: true`))
	want.parse(t, hashed.ReplaceAll(built, []byte("clarion-cloud-config")))
	const configMap = "ConfigMap kube-system/clarion-cloud-config"
	if w, g := want[configMap].Object["data"], got[configMap].Object["data"]; !reflect.DeepEqual(w, g) {
		t.Errorf("the ConfigMap:\n%s", diff.Diff(w, g))
	}
	template := got[deployment].Object["spec"].(map[string]any)["template"].(map[string]any)
	if _, ok, _ := unstructured.NestedString(template, "metadata", "annotations", "checksum/cloud-config"); !ok {
		t.Error("a change of the file does not replace the pods")
	}
	unstructured.RemoveNestedField(template, "metadata", "annotations")
	for _, key := range []string{
		deployment, "ClusterRole /clarion-cloud-controller-manager:node-lifecycle", "ClusterRoleBinding /clarion-cloud-controller-manager:node-lifecycle",
	} {
		if w, g := meaning(t, want[key], "kustomize"), meaning(t, got[key], "Helm"); !reflect.DeepEqual(w, g) {
			t.Errorf("%s:\n%s", key, diff.Diff(w, g))
		}
	}
	if len(want) != len(got) {
		t.Errorf("there are %d objects by kustomize, %d by Helm", len(want), len(got))
	}
}

// withCloudConfig are values of the cloud-controller-manager, with the annotated cloud config besides.
func withCloudConfig(t *testing.T, values string) string {
	t.Helper()
	text, err := json.Marshal(referenceConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return "controller: {" + values + ", cloudConfig: " + string(text) + "}"
}

func TestAChangeOfTheCloudConfigReplacesThePods(t *testing.T) {
	checksum := func(text string) string {
		values := `controller: {cloudConfig: "` + text + `", podAnnotations: {example.com/a: b}}`
		annotations := typed[appsv1.Deployment](t, deployment, values).Spec.Template.Annotations
		if annotations["example.com/a"] != "b" {
			t.Errorf("the annotations are %v", annotations)
		}
		return annotations["checksum/cloud-config"]
	}
	if one, other := checksum("a"), checksum("b"); one == other || one == "" {
		t.Errorf("the checksums are %q and %q", one, other)
	}
}

func TestNodesThatAreLeftToOthersHaveNoCloudConfig(t *testing.T) {
	for _, values := range []string{`controller: {loadBalancerOnly: true, cloudConfig: a}`, `controller: {loadBalancerOnly: true, nodeLifecycle: true}`} {
		if _, _, err := render(inKubeSystem, values); err == nil || !strings.Contains(err.Error(), "leaves nodes to others") {
			t.Errorf("%s: %v", values, err)
		}
	}
}
