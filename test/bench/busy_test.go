package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// burners are the processes that keep all processors busy.
const burners = 30

// BenchmarkBusy has 30 processes compete with a cluster for the processors of the machine for as long as DURATION says, a minute if it
// says nothing, with the overlay withdraw-endpoints. It counts the addresses that move and the pods that are marked not ready, of which
// there is to be none: every node is there all the time.
func BenchmarkBusy(b *testing.B) {
	duration := time.Minute
	if text := os.Getenv("DURATION"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	i := install.Bare(b, cluster.Config{Nodes: 3})
	if err := i.Apply(b.Context(), "../../manifests/overlays/withdraw-endpoints"); err != nil {
		b.Fatal(err)
	}
	i.AwaitReady(b)
	for _, sample := range []string{"pool.yaml", "l2advertisement.yaml"} {
		if err := i.Apply(b.Context(), i.Sample(sample)); err != nil {
			b.Fatal(err)
		}
	}
	i.StartApp(b)
	services := names("busy", 9)
	forEach(b, services, (&outage{Installation: i}).createService)
	var meters []*network.Meter
	for _, name := range services {
		address := awaitAddress(b, i, name)
		meters = append(meters, i.Client.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{Interval: 100 * time.Millisecond}))
	}
	for _, meter := range meters {
		if _, err := meter.Await(b.Context(), network.Succeeded); err != nil {
			b.Fatal(err)
		}
	}
	(&outage{Installation: i}).awaitMembers(b, len(i.Nodes()))
	results, began := figures{}, time.Now()
	for b.Loop() {
		before := counted(b, i)
		end := burn(b, i)
		for left := time.Now().Add(duration); time.Now().Before(left); time.Sleep(time.Second) {
			if marked := markedPods(b, i); len(marked) > 0 {
				b.Errorf("pods are marked not ready: %v", marked)
			}
		}
		end()
		for unit, value := range counted(b, i) {
			value -= before[unit]
			results.add(unit, value)
			if unit != "pauses" && value > 0 {
				b.Errorf("there were %g %s", value, unit)
			}
		}
	}
	failed := 0
	for _, meter := range meters {
		for _, attempt := range meter.Stop().Attempts {
			if attempt.Err != nil && attempt.Start.After(began) {
				failed++
			}
		}
	}
	results.add("failed", float64(failed))
	results.report(b)
}

// burn starts the busy processes, a share of them on each node, and returns what ends them.
func burn(b *testing.B, i *install.Installation) (end func()) {
	b.Helper()
	var running []*network.Process
	end = func() {
		for _, process := range running {
			if err := process.Kill(); err != nil {
				b.Error(err)
			}
		}
	}
	for n := range burners {
		process, err := i.Nodes()[n%len(i.Nodes())].Start(os.DevNull, "sh", "-c", "while :; do :; done")
		if err != nil {
			end()
			b.Fatal(err)
		}
		running = append(running, process)
	}
	return end
}

// counted is how often, by all nodes, addresses came to a node, and announcers found that they had not run for a while; and how often
// the pods of a node were marked.
func counted(b *testing.B, i *install.Installation) map[string]float64 {
	b.Helper()
	counts := map[string]float64{"moves": 0, "pauses": 0, "marks": 0}
	for _, node := range i.Nodes() {
		metrics, err := node.Run(b.Context(), "curl", "--silent", "--show-error", "http://127.0.0.1:7948/metrics")
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(metrics) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			unit := ""
			switch {
			case strings.HasPrefix(name, `clarion_announcer_layer2_moves_total{direction="gained"`):
				unit = "moves"
			case name == "clarion_announcer_pauses_total":
				unit = "pauses"
			default:
				continue
			}
			count, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			counts[unit] += count
		}
	}
	events, err := i.Kubernetes().CoreV1().Events(metav1.NamespaceDefault).List(b.Context(), metav1.ListOptions{FieldSelector: "reason=EndpointsWithdrawn"})
	if err != nil {
		b.Fatal(err)
	}
	for _, event := range events.Items {
		counts["marks"] += float64(max(event.Count, 1))
	}
	return counts
}

// markedPods are the pods that say that their node is dead.
func markedPods(b *testing.B, i *install.Installation) (marked []string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), install.Patience)
	defer cancel()
	pods, err := i.Kubernetes().CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Reason == v1alpha1.ReasonNodeUnreachable {
				marked = append(marked, fmt.Sprintf("%s on %s", pod.Name, pod.Spec.NodeName))
			}
		}
	}
	return marked
}
