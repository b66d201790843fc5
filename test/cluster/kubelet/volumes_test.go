package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestVolumeFilesAreThoseOfTheSourceAndNoOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	write := func(files map[string]file) {
		t.Helper()
		if err := writeFiles(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string]file{"a": {[]byte("1"), 0o640}, "sub/b": {[]byte("2"), 0o644}})
	write(map[string]file{"a": {[]byte("3"), 0o400}})
	content, err := os.ReadFile(filepath.Join(dir, "a"))
	if err != nil || string(content) != "3" {
		t.Errorf("a changed file has %q, %v", content, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode() != 0o400 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "sub/b")); !os.IsNotExist(err) {
		t.Errorf("a file that is no longer there: %v", err)
	}
}

func TestItemsSelectAndRenameKeys(t *testing.T) {
	data := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	all, err := selectFiles(data, nil, nil, 0o600)
	if err != nil || len(all) != 2 || all["a"].mode != 0o600 {
		t.Errorf("without items: %v, %v", all, err)
	}
	items := []v1.KeyToPath{{Key: "b", Path: "x/y", Mode: ptr.To(int32(0o400))}, {Key: "missing", Path: "z"}}
	if _, err := selectFiles(data, items, nil, 0o600); err == nil {
		t.Error("a missing key was accepted")
	}
	some, err := selectFiles(data, items, ptr.To(true), 0o600)
	if err != nil || len(some) != 1 || string(some["x/y"].content) != "2" || some["x/y"].mode != fs.FileMode(0o400) {
		t.Errorf("optional items: %v, %v", some, err)
	}
}
