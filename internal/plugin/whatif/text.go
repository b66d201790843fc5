package whatif

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// WriteChange writes what becomes of a Service in lines for people.
func WriteChange(w io.Writer, c Change) {
	fmt.Fprintf(w, "  %s\n", c.Name)
	line := func(format string, args ...any) { fmt.Fprintf(w, "    "+format+"\n", args...) }
	switch {
	case len(c.Lost) > 0 && len(c.Gained) > 0:
		line("%s becomes %s", list(c.Lost), list(c.Gained))
	case len(c.Lost) > 0:
		line("loses %s", list(c.Lost))
	case len(c.Gained) > 0:
		line("gains %s", list(c.Gained))
	}
	for _, m := range c.Moved {
		line("%s moves from %s to %s", m.Address, cmp.Or(m.From, "nobody"), cmp.Or(m.To, "nobody"))
	}
	for _, route := range c.Withdrawn {
		line("withdrawn: %s", route)
	}
	for _, route := range c.Announced {
		line("announced: %s", route)
	}
	if c.Refused != "" {
		line("refused: %s", c.Refused)
	}
	if c.Unanswered != "" {
		line("not answered any more: %s", c.Unanswered)
	}
	if c.Answered {
		line("answered from then on")
	}
}

func list(addresses []netip.Addr) string {
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
