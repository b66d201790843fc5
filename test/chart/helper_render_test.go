package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/engine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// objects are those of a form of the manifests, by kind, namespace and name.
type objects map[string]*unstructured.Unstructured

// parse reads YAML documents into the objects. No two may have the same name.
func (o objects) parse(t *testing.T, text []byte) {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if len(object.Object) == 0 {
			continue
		}
		key := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
		if o[key] != nil {
			t.Errorf("there are two of %s", key)
		}
		o[key] = object
	}
}

// kustomized are the objects of an overlay.
func kustomized(t *testing.T, overlay string) objects {
	t.Helper()
	text, err := Kustomize(overlay)
	if err != nil {
		t.Fatal(err)
	}
	result := objects{}
	result.parse(t, text)
	return result
}

// render is what Helm makes of the chart with these values, which are YAML, and what it tells the user.
func render(release common.ReleaseOptions, values string) (manifests [][]byte, notes string, err error) {
	chart, err := Load()
	if err != nil {
		return nil, "", err
	}
	var own map[string]any
	if err := sigsyaml.Unmarshal([]byte(values), &own); err != nil {
		return nil, "", err
	}
	all, err := util.ToRenderValues(chart, own, release, common.DefaultCapabilities)
	if err != nil {
		return nil, "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, "", err
	}
	for name, text := range files {
		if path.Base(name) == "NOTES.txt" {
			notes = text
		} else {
			manifests = append(manifests, []byte(text))
		}
	}
	return manifests, notes, nil
}

var inKubeSystem = common.ReleaseOptions{Name: "clarion", Namespace: metav1.NamespaceSystem, Revision: 1, IsInstall: true}

// rendered are the objects of the chart with these values.
func rendered(t *testing.T, values string) objects {
	t.Helper()
	manifests, _, err := render(inKubeSystem, values)
	if err != nil {
		t.Fatal(err)
	}
	result := objects{}
	for _, text := range manifests {
		result.parse(t, text)
	}
	return result
}
