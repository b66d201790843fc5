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

// testSupportBundle has kubectl clarion make an archive. It lacks what the kubelets of this cluster do not serve, logs and metrics, and
// names it.
func (d *deployment) testSupportBundle() {
	name := filepath.Join(d.t.TempDir(), "bundle.tar.gz")
	d.plugin(0, "support-bundle", "--file="+name)
	files := d.unpack(name)
	lacks := map[string]int{}
	for line := range strings.Lines(files["missing"]) {
		kind, _, _ := strings.Cut(line, "/")
		lacks[kind]++
	}
	if len(lacks) != 2 || lacks["logs"] == 0 || lacks["metrics"] != lacks["logs"] {
		d.t.Errorf("it lacks:\n%s", files["missing"])
	}
	if status := files["answers/status.txt"]; !strings.Contains(status, "1 of 1 in order") {
		d.t.Errorf("it has the status %q", status)
	}
}

// unpack has what is in an archive, by name within its folder.
func (d *deployment) unpack(name string) map[string]string {
	d.t.Helper()
	file, err := os.Open(name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		d.t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			d.t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			d.t.Fatal(err)
		}
		_, inside, _ := strings.Cut(header.Name, "/")
		files[inside] = string(text)
	}
}
