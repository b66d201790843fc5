package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// asks runs kubectl clarion, and wants that it ends with this code and writes these texts.
func (d *deployment) asks(code int, command string, texts ...string) {
	d.t.Helper()
	out := d.plugin(code, strings.Fields(command)...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			d.t.Errorf("kubectl clarion %s does not say %q:\n%s", command, text, out)
		}
	}
}

// predicted is which node announces each address on layer 2 that moves if something happens to a node, as kubectl clarion simulate
// says: "fail" or "drain".
func (d *deployment) predicted(happening, node string) map[string]string {
	d.t.Helper()
	var report struct {
		Services []struct {
			Moved []struct{ Address, To string }
		}
	}
	if err := json.Unmarshal([]byte(d.plugin(0, "simulate", happening, node, "-o", "json")), &report); err != nil {
		d.t.Fatal(err)
	}
	owners := map[string]string{}
	for _, service := range report.Services {
		for _, move := range service.Moved {
			owners[move.Address] = move.To
		}
	}
	return owners
}

// testSupportBundle has kubectl clarion make an archive, which lacks nothing.
func (d *deployment) testSupportBundle() {
	name := filepath.Join(d.t.TempDir(), "bundle.tar.gz")
	d.plugin(0, "support-bundle", "--file="+name)
	file, err := os.Open(name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		d.t.Fatal(err)
	}
	measured := map[string]int{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			d.t.Fatal(err)
		}
		switch path := strings.Split(header.Name, "/"); {
		case path[1] == "missing":
			d.t.Errorf("it lacks:\n%s", text)
		case path[1] == "metrics" && strings.Contains(string(text), "\nclarion_"):
			measured[path[2]]++
		}
	}
	if measured["clarion-system"] != len(d.Nodes()) || measured["kube-system"] == 0 {
		d.t.Errorf("it has metrics of %v", measured)
	}
}
