package causes

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatKubectlShowsNamesTheCauseAndTheFix(t *testing.T) {
	for _, cause := range All() {
		t.Run(cause.Name, func(t *testing.T) {
			found := Produce(t, cause)
			for _, s := range cause.Shown {
				if lines := found.Shown(s.Object); !slices.ContainsFunc(lines, func(line string) bool { return says(line, s.Words) }) {
					t.Errorf("of %s, nothing shows %q:\n\t%s", s.Object, s.Words, strings.Join(lines, "\n\t"))
				}
			}
		})
	}
}

func TestWhereAllIsWellNothingSaysOtherwise(t *testing.T) {
	for name, routed := range map[string]bool{"layer 2": false, "BGP": true} {
		t.Run(name, func(t *testing.T) {
			found := Healthy(t, routed)
			for _, name := range found.Names() {
				t.Logf("%s\n\t%s", name, strings.Join(found.Shown(name), "\n\t"))
			}
		})
	}
}
