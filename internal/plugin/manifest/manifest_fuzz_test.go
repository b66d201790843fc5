package manifest

import "testing"

// Whatever a file has, objects or errors come of it, and every object can be named.
func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n- 1\n---\n"))
	f.Add([]byte(`{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [null, 1]}]}`))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("--- # comment\n---\n---x\n"))
	f.Add([]byte("apiVersion: v1\nkind: Service\nmetadata: []\nspec: {<<: 1}\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, _ := Parse("file", text)
		for _, o := range objects {
			if o.GetKind() == "" || o.GetAPIVersion() == "" {
				t.Errorf("%q has an object without a kind", text)
			}
			o.GetName()
			o.GetLabels()
		}
	})
}
