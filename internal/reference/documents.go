package reference

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	isFenced    = regexp.MustCompile("(?s)\n *```.*?\n *```")
	ofShell     = regexp.MustCompile("(?ms)^ *```(?:sh|console)\n(.*?)^ *```")
)

// Documents are the texts of the documents of a repository, by their paths: those of its root, and of docs.
func Documents(root string) (map[string]string, error) {
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			found[path] = string(content)
		}
	}
	return found, nil
}

// Commands are the lines of a document's blocks for shells, without prompts and comments, and what else it has as code within text.
func Commands(document string) []string {
	var found []string
	for _, block := range ofShell.FindAllStringSubmatch(document, -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, "#")
			found = append(found, strings.TrimPrefix(strings.TrimSpace(line), "$ "))
		}
	}
	for _, code := range inBackticks.FindAllStringSubmatch(isFenced.ReplaceAllString(document, ""), -1) {
		found = append(found, code[1])
	}
	return found
}
