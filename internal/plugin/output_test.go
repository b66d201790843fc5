package plugin

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func TestTextIsPaintedOnTerminalsAlone(t *testing.T) {
	if got := StyleFor(&bytes.Buffer{}).Paint(Red, "text"); got != "text" {
		t.Errorf("%q", got)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := StyleFor(file).Paint(Red, "text"); got != "text" {
		t.Errorf("a file is painted: %q", got)
	}
	if got := (Style{true}).Paint(Red, "text") + (Style{true}).Paint(Red, ""); got != "\x1b[31mtext\x1b[0m" {
		t.Errorf("%q", got)
	}
}

func TestOutputs(t *testing.T) {
	value := map[string]int{"a": 1}
	for output, want := range map[Output]string{"": "text", Wide: "text", JSON: "{\n  \"a\": 1\n}\n", YAML: "a: 1\n"} {
		var out bytes.Buffer
		if err := output.Print(&out, value, func() error { _, err := out.WriteString("text"); return err }); err != nil || out.String() != want || output.Check() != nil {
			t.Errorf("%s: %q %v", output, out.String(), err)
		}
	}
	if err := Output("table").Check(); !errors.As(err, new(*Usage)) {
		t.Error(err)
	}
}
