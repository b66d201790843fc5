package comparison

import (
	_ "embed"
	"html/template"
	"math"
	"slices"
	"strings"
)

//go:embed picture.svg.tmpl
var pictureText string

var pictureTemplate = template.Must(template.New("").Parse(pictureText))

// The sizes of the picture, in pixels: the axis begins at left, rows are so high, and the first one begins below the title.
const (
	left, right = 250, 780
	top, height = 30, 26
)

type picture struct {
	Peer          string
	Width, Bottom int
	Rows          []row
	Ticks         []tick
}

// row has the runs of one product, as places on the axis.
type row struct {
	Label, Product string
	Ours           bool
	Y, TextY       int
	Runs           []float64
}

type tick struct {
	X     float64
	Label string
}

// Picture draws every run of the figures in milliseconds as a dot on a logarithmic axis, as SVG.
func (c Comparison) Picture() (string, error) {
	p := picture{Peer: c.Peer, Width: right + 20, Bottom: top}
	lowest, highest := math.Inf(1), math.Inf(-1)
	figures := slices.DeleteFunc(slices.Clone(c.Figures), func(f Figure) bool { return f.Unit != "ms" })
	for _, f := range figures {
		for _, runs := range [][]float64{f.Clarion, f.Other} {
			if len(runs) > 0 {
				lowest, highest = min(lowest, runs[0]), max(highest, runs[len(runs)-1])
			}
		}
	}
	from, to := math.Floor(math.Log10(max(lowest, 1))), math.Ceil(math.Log10(max(highest, 10)))
	place := func(ms float64) float64 {
		return math.Round(left + (math.Log10(max(ms, 1))-from)/(to-from)*(right-left))
	}
	for _, f := range figures {
		for _, product := range []string{"Clarion", c.Peer} {
			r := row{Product: product, Ours: product == "Clarion", Y: p.Bottom + height/2, TextY: p.Bottom + height/2 + 5}
			runs := f.Other
			if r.Ours {
				r.Label, runs = f.Scenario+": "+f.Name, f.Clarion
			}
			for _, ms := range runs {
				r.Runs = append(r.Runs, place(ms))
			}
			p.Rows = append(p.Rows, r)
			p.Bottom += height
		}
		p.Bottom += height / 2
	}
	for exponent := from; exponent <= to; exponent++ {
		label := number(math.Pow(10, exponent)) + " ms"
		if exponent >= 3 {
			label = number(math.Pow(10, exponent-3)) + " s"
		}
		p.Ticks = append(p.Ticks, tick{X: place(math.Pow(10, exponent)), Label: strings.Replace(label, ".0", "", 1)})
	}
	text := &strings.Builder{}
	err := pictureTemplate.Execute(text, p)
	return text.String(), err
}
