package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Whatever objects of other load balancers have in them, a plan or an error comes of it.
func FuzzNew(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			f.Add(document)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		var objects []unstructured.Unstructured
		for document := range strings.SplitSeq(text, "\n---\n") {
			var object map[string]any
			if yaml.Unmarshal([]byte(document), &object) == nil && object != nil {
				objects = append(objects, unstructured.Unstructured{Object: object})
			}
		}
		for _, source := range append(Find(objects), MetalLB, KubeVIP, Cilium, ServiceLB, ExternalIPs) {
			plan, err := New(source, objects, Options{})
			if (plan == nil) == (err == nil) {
				t.Errorf("%s: %v, %v", source, plan, err)
			}
		}
	})
}
