package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const file = `# a comment
---
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata:
  name: first
  annotations:
    clarionlb.io/x: "1"
spec:
  addresses:
  - 192.0.2.0/28
  - 192.0.2.99
--- # another comment

apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
- {apiVersion: v1, kind: Service, metadata: {name: second}}
---
`

func TestObjectsKnowTheirLines(t *testing.T) {
	objects, err := Parse("a.yaml", []byte(file))
	if err != nil || len(objects) != 3 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	for _, test := range []struct {
		object int
		field  string
		line   int
	}{
		{0, "", 3}, {0, "metadata.name", 6}, {0, "metadata.annotations[clarionlb.io/x]", 8}, {0, "spec.addresses", 10},
		{0, "spec.addresses[1]", 12}, {0, "spec.addresses[7]", 10}, {0, "spec.autoAssign", 9},
		{1, "kind", 19}, {1, "metadata.namespace", 20}, {2, "metadata.name", 21},
	} {
		if line := objects[test.object].Line(test.field); line != test.line {
			t.Errorf("%s of object %d is on line %d, not %d", test.field, test.object, test.line, line)
		}
	}
}

func TestTheFieldThatASentenceSpeaksOf(t *testing.T) {
	objects, err := Parse("a.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for sentence, want := range map[string]string{
		`spec.addresses: "192.0.2.99" is no range`:       "spec.addresses[1]",
		`spec.addresses[0] is wrong`:                     "spec.addresses[0]",
		`spec.nodeSelectors[1]: "x" is no operator`:      "spec.nodeSelectors[1]",
		`annotation clarionlb.io/x: "1" is no address`:   "metadata.annotations[clarionlb.io/x]",
		`there is no IPAddressPool x`:                    "",
		`two entries overlap in spec.addresses somehow.`: "spec.addresses",
	} {
		if got := objects[0].FieldOf(sentence); got != want {
			t.Errorf("%s: %q", sentence, got)
		}
	}
}

func TestADocumentThatCannotBeReadIsNamedAndTheOthersAreRead(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"a: [", "line 5"},
		{"kind: Service\nkind: Pod\napiVersion: v1", "kind"},
		{"- 1\n- 2", "line 5: not an object"},
		{"metadata: {name: x}", "line 5: an object needs apiVersion and kind"},
		{"apiVersion: v1\nkind: List\nitems: [{}]", "needs apiVersion and kind"},
		{"{{ if .Values.x }}", "a.yaml: "},
	} {
		text := "apiVersion: v1\nkind: Service\n\n---\n" + test.text + "\n---\napiVersion: v1\nkind: Node\n"
		objects, err := Parse("a.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "a.yaml: ") {
			t.Errorf("%q: %v", test.text, err)
		}
		if len(objects) != 2 {
			t.Errorf("%q: %d objects", test.text, len(objects))
		}
	}
}

func TestFilesAndFolders(t *testing.T) {
	root := t.TempDir()
	for name, kind := range map[string]string{"b.yaml": "B", "a.json": "A", "notes.txt": "no", "below/c.yml": "C"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`{"apiVersion": "v1", "kind": "`+kind+`"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		names     []string
		recursive bool
		want      []string
	}{
		{[]string{root}, false, []string{"A", "B"}},
		{[]string{root}, true, []string{"A", "B", "C"}},
		{[]string{filepath.Join(root, "notes.txt"), "-"}, false, []string{"no", "I"}},
	} {
		objects, err := Read(test.names, test.recursive, strings.NewReader("apiVersion: v1\nkind: I"))
		var kinds []string
		for _, o := range objects {
			kinds = append(kinds, o.GetKind())
		}
		if err != nil || !slices.Equal(kinds, test.want) {
			t.Errorf("%v: %v, %v", test.names, kinds, err)
		}
	}
	if _, err := Read([]string{filepath.Join(root, "none.yaml"), root}, false, nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}
