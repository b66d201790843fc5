package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/frr"
	"github.com/clarionlb/clarion/test/install"
)

// nodes is how many nodes the cluster has.
const nodes = 4

const (
	ccmDeployment = install.CCM
	ccmProcess    = install.CCMProcess
)

// run is a cluster with Clarion to which faults are done.
type run struct {
	*install.Installation
	t testing.TB
	// watcher asks on the nodes' LAN who has addresses.
	watcher  *network.Host
	bgp      *frr.Router
	services *services
	timeline *timeline
	sizes    sizes
	// without are the kinds that are left out.
	without []Kind
	claimed *claimed
}

// newRun starts a cluster, on which everything works when it returns.
func newRun(t testing.TB) *run {
	r := &run{Installation: install.Bare(t, cluster.Config{Nodes: nodes, Families: bothFamilies}), t: t, timeline: &timeline{}, sizes: sizes{}, claimed: newClaimed()}
	ctx := t.Context()
	must(t, r.Apply(ctx, "../../manifests/overlays/withdraw-endpoints"))
	r.AwaitReady(t)
	must(t, second(r.Kubectl(ctx, "scale", "--namespace=kube-system", "deployment/"+ccmDeployment, "--replicas=2")))
	must(t, r.ApplyYAML(ctx, configuration))
	r.StartApp(t)
	must(t, second(r.Kubectl(ctx, "scale", "deployment/myapp", fmt.Sprint("--replicas=", nodes))))
	for _, service := range residents() {
		must(t, second(r.Kubernetes().CoreV1().Services(service.Namespace).Create(ctx, service, metav1.CreateOptions{})))
	}
	var err error
	r.watcher, err = r.AddHost("watcher", 101)
	must(t, err)
	r.bgp, err = frr.Start(ctx, r.Router, filepath.Join(r.LogDir(), "router"))
	must(t, err)
	t.Cleanup(func() { must(t, r.bgp.Close()) })
	r.timeline.begin()
	r.services = followServices(r.Kubernetes(), r.timeline)
	t.Cleanup(func() { r.services.stop() })
	must(t, r.awaitSettled(ctx))
	return r
}

func second[T any](_ T, err error) error { return err }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// play has a round happen. It fails the test if something was wrong, and ends it if the cluster cannot be healed.
func (r *run) play(round Round) {
	r.t.Helper()
	round.Faults = slices.DeleteFunc(round.Faults, func(f Fault) bool { return slices.Contains(r.without, f.Kind) })
	ctx := r.t.Context()
	started := time.Now()
	before, _ := waited()
	r.timeline.begin()
	r.services.settle()
	wire, err := watchWire(ctx, r.watcher, r.named)
	must(r.t, err)
	kept := r.keptThroughout(round)
	must(r.t, r.do(ctx, round))
	must(r.t, r.heal(ctx))
	r.timeline.add("everything is healed")
	healed := time.Now()
	settled := r.awaitSettled(ctx)
	recovered := time.Since(healed)
	held, wrong := r.services.settle()
	onWire, err := wire.judge(held, kept)
	must(r.t, err)
	wrong = append(wrong, onWire...)
	wrong = append(wrong, r.grown()...)
	wrong = append(wrong, r.crashes()...)
	wrong = append(wrong, r.withdrawn(ctx, round, started)...)
	if settled != nil {
		wrong = append(wrong, finding{time.Now(), fmt.Sprintf("not everything works %s after the last fault has ended: %v", recovery, settled)})
	}
	r.t.Logf("round %d with %d faults took %.1fs, of which %.1fs until everything worked again; processes waited for a processor for %s of it",
		round.Number, len(round.Faults), time.Since(started).Seconds(), recovered.Seconds(), shortage(before, started))
	if len(wrong) > 0 {
		r.t.Errorf("%d things were wrong in %s\ntimeline:%s", len(wrong), round, r.timeline.with(wrong))
	}
	if settled != nil {
		r.t.Fatal("the next round would begin with that")
	}
}

// do has all faults of a round begin and end. An error is one of ending.
func (r *run) do(ctx context.Context, round Round) error {
	started := time.Now()
	var running sync.WaitGroup
	errs := make([]error, len(round.Faults))
	for i, f := range round.Faults {
		running.Go(func() {
			wait(ctx, time.Until(started.Add(f.At)))
			defer r.claimed.take(f)() // one that was to be over may have taken longer
			r.timeline.add("%s", f)
			end, err := begin[f.Kind](r, ctx, f)
			if err != nil {
				r.timeline.add("%s could not be had: %v", f.Kind, err)
				return
			}
			wait(ctx, time.Until(started.Add(f.At+f.For)))
			if err := end(ctx); err != nil {
				errs[i] = fmt.Errorf("end %s: %w", f, err)
			}
			if f.For > 0 {
				r.timeline.add("%s is over", f.Kind)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// heal has everything as it was that a restored etcd may have changed again.
func (r *run) heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	if err := errors.Join(r.removeOverlappingPool(ctx), r.revivePools(ctx)); err != nil {
		return err
	}
	for object, patch := range sane {
		if err := r.patch(ctx, object, patch); err != nil {
			return err
		}
	}
	for n := range r.Nodes() {
		if err := r.undrain(ctx, r.Nodes()[n]); err != nil {
			return err
		}
	}
	return nil
}

// keptThroughout are the addresses for which somebody has to answer all the time: those of residents, if there is a single fault.
func (r *run) keptThroughout(round Round) map[netip.Addr]bool {
	kept := map[netip.Addr]bool{}
	if len(round.Faults) == 1 {
		for _, service := range r.services.residents() {
			for _, a := range addressesOf(service) {
				kept[a] = true
			}
		}
	}
	return kept
}

// named replaces the hardware addresses of nodes in a text by their names.
func (r *run) named(text string) string {
	for _, node := range r.Nodes() {
		text = strings.ReplaceAll(text, node.MAC("eth0").String(), node.Name)
	}
	return text
}

// crashes finds crashes in the logs of the product's containers.
func (r *run) crashes() []finding {
	logs, err := filepath.Glob(filepath.Join(r.LogDir(), "*", "*clarion-*.log"))
	must(r.t, err)
	var wrong []finding
	for _, log := range logs {
		content, err := os.ReadFile(log)
		must(r.t, err)
		for line := range strings.Lines(string(content)) {
			if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
				wrong = append(wrong, finding{time.Now(), log + ": " + strings.TrimSpace(line)})
			}
		}
	}
	return wrong
}
