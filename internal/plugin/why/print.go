package why

import (
	"fmt"
	"io"
	"strings"

	"github.com/clarionlb/clarion/internal/plugin"
)

// signs are what is before a link, and their colours.
var signs = map[Mark]struct {
	sign   string
	colour plugin.Colour
}{
	OK:      {"✔", plugin.Green},
	Failed:  {"✘", plugin.Red},
	Warning: {"!", plugin.Yellow},
	Note:    {"·", plugin.Faint},
}

// Sign is what is before a link with a mark.
func Sign(mark Mark, style plugin.Style) string {
	return style.Paint(signs[mark].colour, signs[mark].sign)
}

// Print writes the Report as text. Items are printed for links that do not hold; with all for every link.
func (r *Report) Print(out io.Writer, style plugin.Style, all bool) {
	mark := OK
	if !r.OK {
		mark = Failed
	}
	fmt.Fprintf(out, "%s %s\n", style.Paint(plugin.Bold, r.Kind+" "+r.Name+":"), style.Paint(signs[mark].colour, r.Summary))
	width := 0
	for _, l := range r.Links {
		width = max(width, len(l.title()))
	}
	for _, l := range r.Links {
		sentence := l.Sentence
		if l.Reason != "" && l.Mark != OK {
			sentence = l.Reason + ": " + sentence
		}
		fmt.Fprintf(out, "%s %-*s  %s\n", Sign(l.Mark, style), width, l.title(), sentence)
		indent := strings.Repeat(" ", width+4)
		if l.Remedy != "" && l.Mark != OK {
			fmt.Fprintf(out, "%s→ %s\n", indent, l.Remedy)
		}
		for _, i := range l.Items {
			if !all && l.Mark == OK && i.Mark != Warning && len(l.Items) > mostItems {
				continue
			}
			fmt.Fprintf(out, "%s%s %s: %s\n", indent, Sign(i.Mark, style), i.Name, i.Sentence)
			if i.Remedy != "" && (l.Mark == Failed || i.Mark == Warning) {
				fmt.Fprintf(out, "%s  → %s\n", indent, i.Remedy)
			}
		}
		if n := len(l.Items); !all && l.Mark == OK && n > mostItems {
			fmt.Fprintf(out, "%s%s\n", indent, style.Paint(plugin.Faint, fmt.Sprintf("(%d more with --all)", n)))
		}
	}
}

// mostItems is how many items a link that holds is printed with.
const mostItems = 8

func (l *Link) title() string {
	if l.Address == "" {
		return l.Name
	}
	return l.Name + " " + l.Address
}
