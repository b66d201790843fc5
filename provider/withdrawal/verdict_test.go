package withdrawal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/internal/deadnodes"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// seen is a view of nodes n1, n2, ... that are Ready. Each of the texts is what an announcer records: "n1: n3 n4".
func seen(nodes int, records ...string) view {
	v := view{ready: map[string]bool{}, records: map[string]deadnodes.Record{}}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		v.ready[name], v.records[name] = true, nil
	}
	for k, text := range records {
		voter, dead, _ := strings.Cut(text, ":")
		record := deadnodes.Record{}
		for name := range strings.FieldsSeq(dead) {
			record[name] = noon.Add(time.Duration(k) * time.Second)
		}
		v.records[voter] = record
	}
	return v
}

func TestOfFewNodesEndpointsAreWithdrawnAtOnce(t *testing.T) {
	all := func(nodes int, dead string) view {
		var records []string
		for i := range nodes {
			records = append(records, fmt.Sprintf("n%d: %s", i+1, dead))
		}
		return seen(nodes, records...)
	}
	notReady := all(7, "n6 n7")
	notReady.ready["n6"] = false
	for name, tt := range map[string]struct {
		view  view
		begun string
		after time.Duration
		want  string
	}{
		"one":             {all(3, "n3"), "", 5 * time.Second, "[n3] []"},
		"two of seven":    {all(7, "n6 n7"), "", 5 * time.Second, "[] [n6 n7]"},
		"two of twenty":   {all(20, "n6 n7"), "", 30 * time.Second, "[n6 n7] []"},
		"three of twenty": {all(20, "n5 n6 n7"), "", 30 * time.Second, "[] [n5 n6 n7]"},
		"a second one while the first is not known to Kubernetes": {all(7, "n6 n7"), "n6", 10 * time.Second, "[] [n7]"},
		"a second one once it is":                                 {notReady, "n6", 10 * time.Second, "[n7] []"},
		"none that is begun":                                      {all(3, "n3"), "n3", 5 * time.Second, "[] []"},
		"the last moment":                                         {all(3, "n3"), "", freshness - 1, "[n3] []"},
		"the first moment in which it is old":                     {all(3, "n3"), "", freshness, "[] []"},
		"none that is old":                                        {all(3, "n3"), "", 2 * time.Minute, "[] []"},
		"nor of which the clocks are far apart":                   {all(3, "n3"), "", -2 * time.Minute, "[] []"},
	} {
		due, held := tt.view.due(tt.view.verdicts(), func(name string) bool { return name == tt.begun }, noon.Add(tt.after))
		if got := fmt.Sprint(due, held); got != tt.want {
			t.Errorf("%s: due and held are %s, want %s", name, got, tt.want)
		}
	}
}

// TestARecordThatNobodyCanTakeBackIsNoWordAboutNow has announcers that do not run since an earlier outage of the node.
func TestARecordThatNobodyCanTakeBackIsNoWordAboutNow(t *testing.T) {
	for name, tt := range map[string]struct {
		ago  []time.Duration // by n1, n2, ... of five
		want string
	}{
		"one that runs, and two that do not":    {[]time.Duration{time.Hour, 2 * time.Hour, time.Second}, "[]"},
		"two that run, and one that does not":   {[]time.Duration{time.Second, time.Hour, time.Second}, "[]"},
		"three that run, and one that does not": {[]time.Duration{time.Hour, time.Second, time.Second, 2 * time.Second}, "[n5]"},
		"three that run":                        {[]time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, "[n5]"},
		"all, one of them much later":           {[]time.Duration{50 * time.Second, 50 * time.Second, 50 * time.Second, 0}, "[n5]"},
	} {
		v := seen(5)
		for i, ago := range tt.ago {
			v.records[fmt.Sprintf("n%d", i+1)] = deadnodes.Record{"n5": noon.Add(-ago)}
		}
		due, held := v.due(v.verdicts(), func(string) bool { return false }, noon)
		if got := fmt.Sprint(due); got != tt.want || len(held) > 0 {
			t.Errorf("%s: due are %s, held %v, want %s", name, got, held, tt.want)
		}
	}
}
