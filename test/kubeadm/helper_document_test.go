package kubeadm

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// document is a text of the documentation.
type document struct {
	name, text string
}

func readDocument(t *testing.T, name string) document {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return document{name: name, text: string(content)}
}

var codeBlock = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// block returns the first block of code in a language below a heading.
func (d document) block(t *testing.T, heading, language string) string {
	t.Helper()
	_, section, found := strings.Cut(d.text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", d.name, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, match := range codeBlock.FindAllStringSubmatch(section, -1) {
		if match[1] == language {
			return match[2]
		}
	}
	t.Fatalf("section %q of %s has no block of %s", heading, d.name, language)
	return ""
}

// commands returns the lines of the first block of shell commands below a heading.
func (d document) commands(t *testing.T, heading string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(d.block(t, heading, "sh")), "\n")
}
