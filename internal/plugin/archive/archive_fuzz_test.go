package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// bundleOf is a support bundle with one file.
func bundleOf(tb testing.TB, name, text string) []byte {
	tb.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	files := tar.NewWriter(compressed)
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text))}); err != nil {
		tb.Skip(err) // no archive has such a name
	}
	if _, err := files.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if err := files.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// Whatever a bundle has that somebody sends, a Snapshot or an error comes of it.
func FuzzObjectsOfABundle(f *testing.F) {
	f.Add("bundle/objects/services.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: [{port: 80}]}\n")
	f.Add("bundle/objects/pools.yaml", "apiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: p}\nspec: {addresses: 1}\n")
	f.Add("bundle/objects/announcers.yaml", "apiVersion: clarionlb.io/v1alpha1\nkind: Announcer\nmetadata: {name: n1}\nstatus: {conditions: [{}]}\n")
	f.Add("../../objects/x", "apiVersion: v1\nkind: List\nitems: [null, 1]\n")
	f.Add("bundle/logs/a.log", "---\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		objects, err := Objects(bytes.NewReader(bundleOf(t, name, text)))
		if err != nil {
			return
		}
		if taken, err := snapshot.Parse(objects); err == nil {
			taken.State()
		}
	})
}

// Whatever is given in place of a bundle, objects or an error come of it.
func FuzzObjects(f *testing.F) {
	whole := bundleOf(f, "bundle/objects/services.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Add([]byte("apiVersion: v1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if objects, err := Objects(bytes.NewReader(text)); err != nil && len(objects) > 0 {
			t.Errorf("%d objects of a bundle that cannot be read: %v", len(objects), err)
		}
	})
}
