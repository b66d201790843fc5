package e2e

import (
	"os"
	"strings"
	"testing"
)

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
