package reference

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	isHeading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	// isMake is a call of make with targets that are named.
	isMake   = regexp.MustCompile(`(?:^|[\s;&(])make((?: +[\w.=-]+)+)`)
	isTarget = regexp.MustCompile(`(?m)^([a-z0-9][a-z0-9.-]*):`)
)

// anchors are those of the headings of a document.
func anchors(document string) map[string]bool {
	found := Anchors{}
	for _, heading := range isHeading.FindAllStringSubmatch(isFenced.ReplaceAllString("\n"+document, ""), -1) {
		found.Of(heading[1])
	}
	return found
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	have := anchors("# A title: `code` and [a link](b.md)\n\n```sh\n# no heading\n```\n\n## It's _here_...\n## Twice\n## Twice\n")
	for _, want := range []string{"a-title-code-and-a-link", "its-_here_", "twice", "twice-1"} {
		if !have[want] {
			t.Errorf("%s is missing in %v", want, have)
		}
	}
	if len(have) != 4 {
		t.Error(have)
	}
}

// makeTargets are those of the Makefile.
func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, target := range isTarget.FindAllStringSubmatch(string(makefile), -1) {
		found[target[1]] = true
	}
	return found
}

// madeTargets are the targets of make that a command names. Arguments with a "=" are variables.
func madeTargets(command string) []string {
	var found []string
	for _, call := range isMake.FindAllStringSubmatch(command, -1) {
		for _, word := range strings.Fields(call[1]) {
			if !strings.Contains(word, "=") {
				found = append(found, word)
			}
		}
	}
	return found
}
