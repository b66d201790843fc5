package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

const root = "../../.."

// TestTheReferenceIsWhatTheCodeSays leaves out the flags, for which the programs have to be built: "make lint" compares these.
func TestTheReferenceIsWhatTheCodeSays(t *testing.T) {
	for _, p := range pages {
		want, err := p.text(root)
		if err != nil {
			t.Errorf("%s: %v", p.file, err)
			continue
		}
		if have, err := os.ReadFile(filepath.Join(root, folder, p.file)); err != nil || string(have) != want {
			t.Errorf("docs/reference/%s is out of date: run make generate (%v)", p.file, err)
		}
	}
}

func TestEveryReasonSaysOfWhichConditionItIs(t *testing.T) {
	for _, tt := range []struct{ group, doc, item, problem string }{
		{group: "Reasons of a BGPPeer's Ready condition.", doc: "ReasonX (False): it is so."},
		{doc: "ReasonX is that it is so.", item: "BGPPeer Ready (False): it is so"},
		{doc: "ReasonX : it is so.", problem: "is the reason of no condition"},
		{group: "Reasons of a BGPPeer's Ready condition.", doc: "ReasonX : it is so.", problem: `needs a comment like "ReasonX (False): meaning."`},
		{doc: "ReasonX is that it is so.", item: "of BGPPeers: it is so", problem: `lists "of BGPPeers: it is so"`},
	} {
		c := constant{name: "ReasonX", value: "X", folder: "api/v1alpha1", group: tt.group, doc: tt.doc}
		if tt.item != "" {
			c.items = []string{tt.item}
		}
		rows, _, err := reasons([]constant{c, {name: "ReasonY", value: "Y", items: []string{"Announcer Ready, Gossip (Unknown): it is away"}}})
		if tt.problem == "" {
			if want := (reason{"BGPPeer", "Ready", "X", "False", "it is so"}); err != nil || len(rows) != 3 || rows[2].condition != "Gossip" || strings.TrimSuffix(rows[0].meaning, ".") != want.meaning {
				t.Errorf("%+v: %v %v", tt, rows, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// bounded are the labels of metrics, all of which have few values.
var bounded = map[string]string{
	"address":   "one for each router",
	"by":        "two",
	"component": "one for each part of a program",
	"direction": "three",
	"family":    "two",
	"kind":      "eight",
	"peer":      "one for each BGPPeer",
	"pool":      "one for each IPAddressPool",
	"problem":   "a few sentences",
	"protocol":  "two",
	"reason":    "one for each reason",
	"result":    "three",
	"state":     "four",
}

// TestMetricsFollowTheConventionsOfPrometheus lints what both programs register, as promtool does.
func TestMetricsFollowTheConventionsOfPrometheus(t *testing.T) {
	kinds := map[string]dto.MetricType{"gauge": dto.MetricType_GAUGE, "counter": dto.MetricType_COUNTER, "histogram": dto.MetricType_HISTOGRAM}
	all := slices.Concat(announcerMetrics(), providerMetrics())
	if len(all) < 25 {
		t.Errorf("only %d metrics were found", len(all))
	}
	for _, m := range all {
		kind, value := kinds[m.kind], &dto.Metric{}
		for _, label := range strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(m.labels)) {
			value.Label = append(value.Label, &dto.LabelPair{Name: &label})
			if bounded[label] == "" {
				t.Errorf("%s has the label %s, which is not known to have few values", m.name, label)
			}
		}
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{{Name: &m.name, Help: &m.help, Type: &kind, Metric: []*dto.Metric{value}}}).Lint()
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		if !strings.HasPrefix(m.name, "clarion_") || !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: %s", m.name, m.help)
		}
	}
}

func TestFlagsAreReadFromTheHelpOfAProgram(t *testing.T) {
	sections := readHelp(`What it is for.

Usage:
  program [flags]

Leader-migration flags:

Generic flags:

      --controllers strings   Those to run.
                              All controllers: a, b (default [*])
  -v, --v Level               how much is said

Clarion flags:

      --ignore   Leave it out.

Use "program --help".
`)
	if len(sections) != 2 || sections[0].title != "Clarion flags" || len(sections[0].rows) != 1 || len(sections[1].rows) != 2 {
		t.Fatalf("%q", sections)
	}
	var b strings.Builder
	for _, s := range sections {
		s.write(&b, "")
	}
	for _, want := range []string{
		"| `--ignore` | | | Leave it out. |\n",
		"| `--controllers` | strings | `[*]` | Those to run. All controllers: a, b |\n",
		"| `--v` | Level | | how much is said |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
