package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/provider"
)

// metric is one that a program registers.
type metric struct{ name, kind, help, labels string }

// recorder is a registry that keeps what it is told.
type recorder struct{ found []metric }

func (r *recorder) Register(c prometheus.Collector) error { r.add(c); return nil }

func (r *recorder) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		r.add(c)
	}
}

func (r *recorder) Unregister(prometheus.Collector) bool { return false }

// kubeRecorder is a recorder for the metrics of Kubernetes' packages.
type kubeRecorder struct{ *recorder }

func (r kubeRecorder) MustRegister(all ...metrics.Registerable) {
	for _, c := range all {
		c.Create(nil)
		r.add(c)
	}
}

func (r kubeRecorder) CustomMustRegister(all ...metrics.StableCollector) {
	for _, c := range all {
		c.Create(nil, c)
		r.add(c)
	}
}

var ofDesc = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: (".*"), constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// add reads what a collector says of its metrics.
func (r *recorder) add(c prometheus.Collector) {
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	histograms := histograms(c)
	for desc := range descs {
		parts := ofDesc.FindStringSubmatch(desc.String())
		var help string
		if _, err := fmt.Sscanf(parts[2], "%q", &help); err != nil {
			panic(err) // client_golang says it otherwise now
		}
		m := metric{name: parts[1], kind: "gauge", help: help}
		switch {
		case histograms[desc.String()]:
			m.kind = "histogram"
		case strings.HasSuffix(m.name, "_total"):
			m.kind = "counter"
		}
		var labels []string
		for _, label := range strings.FieldsFunc(parts[3]+","+parts[4], func(r rune) bool { return r == ',' }) {
			name, _, _ := strings.Cut(label, "=")
			labels = append(labels, code(strings.TrimSpace(name)))
		}
		m.labels = strings.Join(labels, ", ")
		if !slices.Contains(r.found, m) {
			r.found = append(r.found, m)
		}
	}
}

// histograms are the metrics of a collector that are histograms, by their descriptions. Those without a value yet are none.
func histograms(c prometheus.Collector) map[string]bool {
	found := map[string]bool{}
	collected := make(chan prometheus.Metric, 1000)
	c.Collect(collected)
	close(collected)
	for m := range collected {
		var value dto.Metric
		if err := m.Write(&value); err == nil && value.Histogram != nil {
			found[m.Desc().String()] = true
		}
	}
	return found
}

// announcerMetrics and providerMetrics are those of the two programs.
func announcerMetrics() []metric {
	r := &recorder{}
	announce.New(announce.Config{Node: "n", Kubernetes: fake.NewClientset(), Clarion: clarionfake.NewSimpleClientset(), Registry: r, Logger: klog.Background()})
	return r.found
}

func providerMetrics() []metric {
	r := &recorder{}
	provider.New(provider.Config{Informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0), Metrics: kubeRecorder{r}, Logger: klog.Background()})
	return r.found
}

func metricsPage(root string) (string, error) {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" + notice +
		"No metric is stable yet. Both programs also have the metrics of client-go and of the Go runtime.\n" +
		"[Prometheus](../install.md#prometheus) says how to scrape them; alerts and a dashboard come with Clarion ([Alerts](../guides/alerts.md)).\n\n")
	b.WriteString("## Of the cloud-controller-manager\n\nOn `:10258/metrics`, over HTTPS; the API server is asked who may read it.\n\n")
	metricTable(&b, providerMetrics())
	b.WriteString("## Of the announcers\n\nOn `127.0.0.1:7948/metrics` of each node, over HTTP; with `--metrics-bind-address` also elsewhere, over HTTPS.\n\n")
	metricTable(&b, announcerMetrics())
	err := moves(&b, root)
	return strings.TrimSpace(b.String()) + "\n", err
}

func metricTable(b *strings.Builder, all []metric) {
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	var rows [][]string
	for _, m := range all {
		rows = append(rows, []string{code(m.name), m.kind, m.labels, cell(strings.TrimPrefix(m.help, "[ALPHA] "))})
	}
	table(b, []string{"Metric", "Type", "Labels", "Meaning"}, rows)
}

// moves are the reasons of the metric of moves.
func moves(b *strings.Builder, root string) error {
	all, err := constants(root, "announce/plan")
	if err != nil {
		return err
	}
	b.WriteString("### Reasons of moves\n\nOf `clarion_announcer_layer2_moves_total`, and in the log of the announcers.\n\n")
	var rows [][]string
	for _, c := range all {
		if c.of != "MoveReason" {
			continue
		}
		word := ofWord.FindStringSubmatch(c.doc)
		if word == nil {
			return fmt.Errorf(`plan.%s needs a comment like "%s (gained): meaning."`, c.name, c.name)
		}
		rows = append(rows, []string{code(c.value), word[2], cell(strings.TrimSuffix(word[3], "."))})
	}
	table(b, []string{"Move", "Direction", "Meaning"}, rows)
	return nil
}
