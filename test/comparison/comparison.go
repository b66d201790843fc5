// Package comparison keeps what "make bench" measures of Clarion and of a peer in the same scenarios: as a file, as a table for
// docs/performance.md and as a picture.
package comparison

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Comparison is what was measured of Clarion and of a peer.
type Comparison struct {
	// Peer is the name of the other load balancer, with its version.
	Peer    string   `json:"peer"`
	Figures []Figure `json:"figures"`
}

// Figure is one figure of a scenario, of which less is better.
type Figure struct {
	Scenario string `json:"scenario"`
	Name     string `json:"name"`
	// Unit is "s", "ms", "MiB", or empty for a count.
	Unit string `json:"unit,omitempty"`
	// Clarion and Other are what each run measured of Clarion and of the peer, in ascending order.
	Clarion []float64 `json:"clarion"`
	Other   []float64 `json:"other"`
}

// Ratio is how many times Clarion's median the peer's is; 0 if Clarion's is 0.
func (f Figure) Ratio() float64 {
	if Median(f.Clarion) == 0 {
		return 0
	}
	return Median(f.Other) / Median(f.Clarion)
}

// Median returns the middle of values in ascending order, 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return (values[len(values)/2] + values[(len(values)-1)/2]) / 2
}

// Read reads a file that [Comparison.Write] wrote. Without the file, nothing has been measured.
func Read(file string) (c Comparison, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	return c, err
}

// Write writes the file.
func (c Comparison) Write(file string) error {
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, append(text, '\n'), 0o644))
}

// Replace takes the figures of a scenario in place of those that there were, and puts a new scenario behind the others.
func (c *Comparison) Replace(scenario string, figures []Figure) {
	at := slices.IndexFunc(c.Figures, func(f Figure) bool { return f.Scenario == scenario })
	if at < 0 {
		at = len(c.Figures)
	}
	c.Figures = slices.DeleteFunc(c.Figures, func(f Figure) bool { return f.Scenario == scenario })
	c.Figures = slices.Insert(c.Figures, at, figures...)
}

// Table returns all figures as a table in Markdown: of each the median, and the extremes of several runs.
func (c Comparison) Table() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "| | Clarion | %s | times as much |\n|---|---|---|---|\n", c.Peer)
	scenario := ""
	for _, f := range c.Figures {
		if f.Scenario != scenario {
			scenario = f.Scenario
			fmt.Fprintf(text, "| **%s** | | | |\n", scenario)
		}
		ratio := "–"
		if f.Ratio() > 0 {
			ratio = number(f.Ratio())
		}
		fmt.Fprintf(text, "| %s | %s | %s | %s |\n", f.Name, f.cell(f.Clarion), f.cell(f.Other), ratio)
	}
	return text.String()
}

// cell is what the table says of the runs of one product.
func (f Figure) cell(runs []float64) string {
	text := number(Median(runs))
	if len(runs) > 1 {
		text += fmt.Sprintf(" (%s–%s)", number(runs[0]), number(runs[len(runs)-1]))
	}
	return strings.TrimSpace(text + " " + f.Unit)
}

// number writes two digits that count, and all of them before the point.
func number(value float64) string {
	digits := max(0, 1-int(math.Floor(math.Log10(cmp.Or(math.Abs(value), 1)))))
	text := strconv.FormatFloat(value, 'f', digits, 64)
	for at := strings.IndexByte(text+".", '.') - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
