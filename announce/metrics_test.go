package announce

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
)

// metric is the sum of a metric of a node over its labels; of a histogram, how much it has observed.
func (c *cluster) metric(node, name string) (sum float64) {
	c.t.Helper()
	families, err := c.running[node].registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// total is the sum of what a histogram of a node has seen.
func (c *cluster) total(node, name string) (sum float64) {
	c.t.Helper()
	families, err := c.running[node].registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return sum
}

func TestAnnouncersInOneProcessHaveMetricsOfTheirOwn(t *testing.T) {
	for range 2 {
		registry := prometheus.NewRegistry()
		New(Config{Node: "n1", Kubernetes: fake.NewClientset(), Clarion: clarionfake.NewSimpleClientset(), Registry: registry})
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, family := range families {
			labels := map[string]bool{}
			for _, m := range family.GetMetric() {
				for _, pair := range m.GetLabel() {
					labels[pair.GetName()+"="+pair.GetValue()] = true
				}
			}
			got[family.GetName()] = strings.Join(slices.Sorted(maps.Keys(labels)), " ")
		}
		// Those with labels for peers, members and moves have no values yet.
		want := map[string]string{
			"clarion_announcer_bfd_silence_seconds":        "",
			"clarion_announcer_failure_detection_seconds":  "",
			"clarion_announcer_layer2_addresses":           "",
			"clarion_announcer_layer2_announcements_total": "protocol=arp protocol=ndp",
			"clarion_announcer_layer2_answers_total":       "protocol=arp protocol=ndp",
			"clarion_announcer_layer2_proxied_addresses":   "",
			"clarion_announcer_layer2_questions_total":     "protocol=arp protocol=ndp",
			"clarion_announcer_layer2_relayed_addresses":   "",
			"clarion_announcer_pauses_total":               "",
			"clarion_announcer_plan_duration_seconds":      "",
		}
		if !maps.Equal(got, want) {
			t.Errorf("there are %v, want %v", got, want)
		}
	}
}

func TestWhatALoopDoesIsCounted(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.both()
		c.lan.hostAnnounces(addr(vip), printer)
		c.after(0)
		for name, want := range map[string]float64{
			"clarion_announcer_layer2_addresses":       1,
			"clarion_announcer_layer2_moves_total":     1,
			"clarion_announcer_layer2_conflicts_total": 1,
			"clarion_announcer_members":                2 + 2, // alive and expected
		} {
			if got := c.metric("n1", name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := c.metric("n2", "clarion_announcer_layer2_addresses"); got != 0 {
			t.Errorf("n2 counts %v addresses", got)
		}
	})
}
