package migrate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// readFile has the objects of a file with documents of YAML.
func readFile(t *testing.T, path string) []unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// parse has the objects of documents of YAML.
func parse(t *testing.T, text string) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		js, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(js); err != nil {
			t.Fatalf("%v in %s", err, document)
		}
		objects = append(objects, object)
	}
	return objects
}

func TestPlansOfRealConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			source, variant, _ := strings.Cut(name, "_")
			var options Options
			if strings.Contains(variant, "recreate") {
				options.Recreate, options.Class = true, "example.com/lan"
			}
			if source == string(ServiceLB) && variant == "" {
				options.Pool = []string{"192.168.10.200-192.168.10.250"}
			}
			plan, err := New(Source(source), readFile(t, path), options)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := plan.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			objects, err := plan.YAML()
			if err != nil {
				t.Fatal(err)
			}
			got.Write(objects)
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got.String() != string(want) {
				t.Errorf("%v, got\n%s", err, &got)
			}
			if strings.Contains(got.String(), "s3cret") {
				t.Error("a password is shown")
			}
		})
	}
}

func TestEverySourceIsFoundWhereItIs(t *testing.T) {
	for file, want := range map[string][]Source{
		"metallb": {MetalLB}, "kube-vip": {KubeVIP}, "cilium": {Cilium}, "external-ips": {ExternalIPs},
	} {
		if got := Find(readFile(t, "testdata/"+file+".yaml")); !slices.Equal(got, want) {
			t.Errorf("%s: found %v", file, got)
		}
	}
	if _, err := New(MetalLB, nil, Options{}); err == nil {
		t.Error("of nothing there is a plan")
	}
	if _, err := New("openelb", nil, Options{}); err == nil || !strings.Contains(err.Error(), "kube-vip") {
		t.Errorf("of an unknown source: %v", err)
	}
}

func TestAServiceThatIsMadeAnewCanAskForItsAddressAgain(t *testing.T) {
	plan := func(change func(service *unstructured.Unstructured)) map[string]map[string]string {
		objects := readFile(t, "testdata/metallb_recreate.yaml")
		for i := range objects {
			if objects[i].GetKind() == "Service" {
				change(&objects[i])
			}
		}
		p, err := New(MetalLB, objects, Options{Recreate: true})
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]map[string]string{}
		for _, move := range p.Moves {
			if move.How == Recreate && len(move.Addresses) > 0 {
				asked[strings.Join(move.Addresses, ",")] = move.Reclaim
			}
		}
		if len(asked) == 0 {
			t.Fatal("no Service is made anew")
		}
		return asked
	}
	for addresses, reclaim := range plan(func(*unstructured.Unstructured) {}) {
		if len(reclaim) != 1 || reclaim["metallb.universe.tf/loadBalancerIPs"] != addresses {
			t.Errorf("one with %s asks by %v", addresses, reclaim)
		}
	}
	for name, change := range map[string]func(*unstructured.Unstructured){
		"a field": func(s *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(s.Object, "192.0.2.1", "spec", "loadBalancerIP")
		},
		"a new annotation": func(s *unstructured.Unstructured) {
			s.SetAnnotations(map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.1"})
		},
	} {
		for _, reclaim := range plan(change) {
			if reclaim != nil {
				t.Errorf("one that asks by %s asks by %v, too", name, reclaim)
			}
		}
	}
}

func TestTheOrderOfObjectsDoesNotMatter(t *testing.T) {
	objects := readFile(t, "testdata/metallb.yaml")
	first, err := New(MetalLB, objects, Options{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(objects)
	second, err := New(MetalLB, objects, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	_, _ = first.WriteTo(&a)
	_, _ = second.WriteTo(&b)
	if a.String() != b.String() {
		t.Errorf("%s\nbut backwards\n%s", &a, &b)
	}
}
