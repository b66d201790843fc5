package deadnodes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded are the records of announcers of nodes n1, n2, ... Each of the texts is what one records: "n1: n3 n4".
func recorded(nodes int, said ...string) map[string]Record {
	records := map[string]Record{}
	for i := range nodes {
		records[fmt.Sprintf("n%d", i+1)] = nil
	}
	for k, text := range said {
		voter, dead, _ := strings.Cut(text, ":")
		record := Record{}
		for name := range strings.FieldsSeq(dead) {
			record[name] = noon.Add(time.Duration(k) * time.Second)
		}
		records[voter] = record
	}
	return records
}

// verdicts are those where n9 is no Node.
func verdicts(records map[string]Record) map[string]Verdict {
	return Verdicts(records, func(node string) bool { return node != "n9" })
}

func TestANodeIsDeadByTheWordOfAMajority(t *testing.T) {
	for name, tt := range map[string]struct {
		records map[string]Record
		want    string
	}{
		"nobody says anything":                     {recorded(3), "[]"},
		"one of three":                             {recorded(3, "n1: n3"), "[]"},
		"two of three":                             {recorded(3, "n1: n3", "n2: n3"), "[n3]"},
		"two of four":                              {recorded(4, "n1: n4", "n2: n4"), "[]"},
		"half of them, both of the other half":     {recorded(4, "n1: n3 n4", "n2: n3 n4"), "[]"},
		"three of five, of two":                    {recorded(5, "n1: n4 n5", "n2: n5 n4", "n3: n4 n5"), "[n4 n5]"},
		"a node about itself":                      {recorded(3, "n1: n3", "n3: n3"), "[]"},
		"one that is no node, or has no announcer": {recorded(3, "n1: n3", "n9: n3"), "[]"},
		"about what is no node":                    {recorded(3, "n1: n9", "n2: n9"), "[]"},
		"two nodes of two about each other":        {recorded(2, "n1: n2", "n2: n1"), "[]"},
		"one that is dead itself":                  {recorded(5, "n1: n5", "n2: n5", "n3: n5", "n5: n4", "n1: n4 n5", "n2: n4 n5"), "[n5]"},
	} {
		if got := fmt.Sprint(slices.Sorted(maps.Keys(verdicts(tt.records)))); got != tt.want {
			t.Errorf("%s: %s are dead, want %s", name, got, tt.want)
		}
	}
}

func TestAVerdictIsSinceTheMajorityHasIt(t *testing.T) {
	v := verdicts(recorded(5, "n4: n5", "n1: n5", "n3: n5", "n2: n5"))["n5"]
	if want := noon.Add(2 * time.Second); !v.Since.Equal(want) || fmt.Sprint(v.By, v.All) != "[n1 n2 n3 n4] 5" {
		t.Errorf("by %v of %d, since %s; want since %s", v.By, v.All, v.Since, want)
	}
}
