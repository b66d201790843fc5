package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")
	// remoteFolder is one of this repository, as kustomize fetches it.
	remoteFolder = regexp.MustCompile(`https://github.com/clarionlb/clarion//(\S+)\?ref=\S+`)
	shellBlock   = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")
)

// documentedYAML is the first block of YAML in a document that has a text.
func documentedYAML(t *testing.T, path, with string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[2], with) {
			return strings.TrimPrefix(strings.ReplaceAll("\n"+block[2], "\n"+block[1], "\n"), "\n") // in a list it is indented
		}
	}
	t.Fatalf("%s has no block of YAML with %q", path, with)
	return ""
}

// applyDocumented applies the objects of the first block of YAML in a document that has a text, word by word.
func (d *deployment) applyDocumented(path, with string) {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(documentedYAML(d.t, path, with)), 0o644); err != nil {
		d.t.Fatal(err)
	}
	d.kubectl("apply", "--namespace="+d.namespace, "--filename="+file)
}

// documentedOverlay is a folder with the overlay in the first block of YAML in a document that has a text, with this checkout in place
// of the repository.
func (d *deployment) documentedOverlay(path, with string) string {
	d.t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		d.t.Fatal(err)
	}
	dir := d.t.TempDir()
	checkout, err := filepath.Rel(dir, root)
	if err != nil {
		d.t.Fatal(err)
	}
	text := remoteFolder.ReplaceAllString(documentedYAML(d.t, path, with), checkout+"/$1")
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

// documentedCommands are the shell commands in a section of a document, word by word: of each block its lines.
func documentedCommands(t *testing.T, path, heading string) (blocks [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range shellBlock.FindAllStringSubmatch(section, -1) {
		var lines []string
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		blocks = append(blocks, lines)
	}
	if !found || len(blocks) == 0 {
		t.Fatalf("%s has no commands below %q", path, heading)
	}
	return blocks
}

// shell runs a line of the documentation in the checkout.
func (d *deployment) shell(line string) string {
	d.t.Helper()
	out, err := d.Shell(d.ctx, "../..", line)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}
