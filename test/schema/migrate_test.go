package schema

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/internal/migrate"
)

func TestTheAPIServerTakesEveryObjectThatAMigrationMakes(t *testing.T) {
	plurals := map[string]string{
		"IPAddressPool": "ipaddresspools", "L2Advertisement": "l2advertisements", "BGPPeer": "bgppeers", "BGPAdvertisement": "bgpadvertisements",
		"Community": "communities", "BFDProfile": "bfdprofiles",
	}
	schemas := map[string]schema{}
	for kind, plural := range plurals {
		schemas[kind] = read(t, plural)
	}
	files, err := filepath.Glob("../../internal/migrate/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		source, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".yaml"), "_")
		plan, err := migrate.New(migrate.Source(source), documents(t, path), migrate.Options{Pool: []string{"203.0.113.0/24"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range plan.Objects {
			spec, err := json.Marshal(object.Object["spec"])
			if err != nil {
				t.Fatal(err)
			}
			seen[object.GetKind()] = true
			if refusal := schemas[object.GetKind()].refuse(t, string(spec)); refusal != "" {
				t.Errorf("%s: %s %s %s: %s", path, object.GetKind(), object.GetName(), spec, refusal)
			}
			if unknown := unknownFields(t, schemas[object.GetKind()], object.Object["spec"]); len(unknown) > 0 {
				t.Errorf("%s: %s %s has unknown fields %v", path, object.GetKind(), object.GetName(), unknown)
			}
		}
	}
	for kind := range plurals {
		if !seen[kind] {
			t.Errorf("no %s is made", kind)
		}
	}
}

// documents are the objects in a file of YAML.
func documents(t *testing.T, path string) []unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}
