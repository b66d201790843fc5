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
	t          *testing.T
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
	return document{t, name, string(content)}
}

// with is the document with other words, given as pairs of old and new. All old ones must be in it.
func (d document) with(pairs ...string) document {
	d.t.Helper()
	for n := 0; n < len(pairs); n += 2 {
		if !strings.Contains(d.text, pairs[n]) {
			d.t.Fatalf("%s does not have %q", d.name, pairs[n])
		}
		d.text = strings.ReplaceAll(d.text, pairs[n], pairs[n+1])
	}
	return d
}

var codeBlock = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// blocks returns the blocks of code in a language below a heading, or in a document without any. There
// must be one.
func (d document) blocks(heading, language string) []string {
	d.t.Helper()
	section := d.text
	if heading != "" {
		_, below, found := strings.Cut(d.text, "\n## "+heading+"\n")
		if !found {
			d.t.Fatalf("%s has no section %q", d.name, heading)
		}
		section, _, _ = strings.Cut(below, "\n## ")
	}
	var blocks []string
	for _, match := range codeBlock.FindAllStringSubmatch(section, -1) {
		if match[1] == language {
			blocks = append(blocks, match[2])
		}
	}
	if len(blocks) == 0 {
		d.t.Fatalf("section %q of %s has no block of %s", heading, d.name, language)
	}
	return blocks
}

// block returns the first block of code in a language below a heading.
func (d document) block(heading, language string) string {
	d.t.Helper()
	return d.blocks(heading, language)[0]
}

// commands returns the lines of the first block of shell commands below a heading.
func (d document) commands(heading string) []string {
	d.t.Helper()
	return strings.Split(strings.TrimSpace(d.block(heading, "sh")), "\n")
}

// typed returns the first command below a heading that is shown with its prompt, and what it prints.
func (d document) typed(heading string) string {
	d.t.Helper()
	line, _, _ := strings.Cut(d.block(heading, "console"), "\n")
	command, ok := strings.CutPrefix(line, "$ ")
	if !ok {
		d.t.Fatalf("section %q of %s has %q and no prompt", heading, d.name, line)
	}
	return command
}
