package comparison

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The file is what a run of "make bench" left in bin/side-by-side.json. UPDATE=1 has the document and the picture follow it.
const (
	measured    = "../../docs/side-by-side.json"
	document    = "../../docs/performance.md"
	picturePath = "../../docs/images/side-by-side.svg"
	begin, end  = "<!-- side-by-side: written by UPDATE=1 go test ./comparison -->\n", "<!-- end of side-by-side -->"
)

func example() Comparison {
	return Comparison{Peer: "MetalLB", Figures: []Figure{
		{Scenario: "1,000 Services", Name: "all have their address", Unit: "s", Clarion: []float64{1.04}, Other: []float64{25.4}},
		{Scenario: "1,000 Services", Name: "writes", Clarion: []float64{0}, Other: []float64{8}},
		{Scenario: "power-off", Name: "LAN", Unit: "ms", Clarion: []float64{138, 160, 214}, Other: []float64{5800, 6000, 6300}},
	}}
}

func TestATableHasMediansExtremesAndRatios(t *testing.T) {
	want := `| | Clarion | MetalLB | times as much |
|---|---|---|---|
| **1,000 Services** | | | |
| all have their address | 1.0 s | 25 s | 24 |
| writes | 0.0 | 8.0 | – |
| **power-off** | | | |
| LAN | 160 (138–214) ms | 6,000 (5,800–6,300) ms | 38 |
`
	if got := example().Table(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestAScenarioThatIsMeasuredAgainReplacesItsFiguresInTheirPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "c.json")
	if c, err := Read(file); err != nil || len(c.Figures) > 0 {
		t.Errorf("without a file: %v, %v", c, err)
	}
	c := example()
	c.Replace("1,000 Services", []Figure{{Scenario: "1,000 Services", Name: "new", Clarion: []float64{1}, Other: []float64{2}}})
	c.Replace("drain", []Figure{{Scenario: "drain", Name: "LAN", Clarion: []float64{1}, Other: []float64{2}}})
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(file)
	if err != nil || !reflect.DeepEqual(read, c) {
		t.Errorf("the file has %v, %v; want %v", read, err, c)
	}
	var names []string
	for _, f := range read.Figures {
		names = append(names, f.Scenario+"/"+f.Name)
	}
	if got := strings.Join(names, " "); got != "1,000 Services/new power-off/LAN drain/LAN" {
		t.Errorf("the figures are %s", got)
	}
}

func TestNumbersHaveTwoDigitsThatCount(t *testing.T) {
	for value, want := range map[float64]string{0: "0.0", 0.0123: "0.012", 0.5: "0.50", 2.345: "2.3", 38.4: "38", 999.6: "1,000", 12345: "12,345", 1234567: "1,234,567"} {
		if got := number(value); got != want {
			t.Errorf("%v is written as %s, want %s", value, got, want)
		}
	}
}

func TestThePictureHasADotForEveryRunInMilliseconds(t *testing.T) {
	text, err := example().Picture()
	if err != nil {
		t.Fatal(err)
	}
	dots := 0
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			dots++
		}
	}
	if dots != 6 {
		t.Errorf("there are %d dots:\n%s", dots, text)
	}
	for _, want := range []string{"power-off: LAN", "100 ms", "1 s", "10 s"} {
		if !strings.Contains(text, ">"+want+"<") {
			t.Errorf("the picture does not say %q:\n%s", want, text)
		}
	}
}

func TestTheDocumentHasWhatWasMeasured(t *testing.T) {
	c, err := Read(measured)
	if err != nil || len(c.Figures) == 0 {
		t.Fatalf("%d figures, %v", len(c.Figures), err)
	}
	picture, err := c.Picture()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", document)
	}
	for file, want := range map[string]string{document: before + begin + c.Table() + end + after, picturePath: picture} {
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s has other figures than %s (%v): UPDATE=1 go test ./comparison", file, measured, err)
		}
	}
}
