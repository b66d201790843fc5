package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n")

// applyDocumented applies the objects of the first block of YAML in a document that has a text, word by word.
func (d *deployment) applyDocumented(path, with string) {
	d.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(block[1], with) {
			continue
		}
		file := filepath.Join(d.t.TempDir(), "objects.yaml")
		if err := os.WriteFile(file, []byte(block[1]), 0o644); err != nil {
			d.t.Fatal(err)
		}
		d.kubectl("apply", "--namespace="+d.namespace, "--filename="+file)
		return
	}
	d.t.Fatalf("%s has no block of YAML with %q", path, with)
}

// documentedCommands are the commands of kubectl in the first block of a section of a document, word by word.
func documentedCommands(t *testing.T, path, heading string) (commands [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	_, block, hasBlock := strings.Cut(section, "```sh\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !hasBlock || !closed {
		t.Fatalf("%s has no commands below %q", path, heading)
	}
	block = strings.ReplaceAll(block, "\\\n", " ")
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] != "kubectl" {
			t.Fatalf("%s: %q is no command of kubectl", path, line)
		}
		for i, word := range words {
			words[i] = strings.Trim(word, "'")
			if words[i] == "manifests/" {
				words[i] = "../../manifests/"
			}
		}
		commands = append(commands, words[1:])
	}
	return commands
}
