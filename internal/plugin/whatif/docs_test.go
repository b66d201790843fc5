package whatif

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocumentationShowsWhatTheVerbsWrite(t *testing.T) {
	text, err := os.ReadFile("../../../docs/kubectl-clarion.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range []string{"../simulate/testdata/fail.txt", "../diff/testdata/change.txt"} {
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), string(want)) {
			t.Errorf("docs/kubectl-clarion.md does not show %s", golden)
		}
	}
	mistakes, err := os.ReadFile("../validate/testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "mistakes.yaml:") {
			shown++
			if !strings.Contains(string(mistakes), line) {
				t.Errorf("docs/kubectl-clarion.md shows %s", line)
			}
		}
	}
	if shown == 0 {
		t.Error("docs/kubectl-clarion.md shows no problem")
	}
}
