package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressesOutliveTheCloudControllerManager kills, restarts and stops the cloud-controller-manager.
func TestAddressesOutliveTheCloudControllerManager(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 2})
	d.apply(samples + "pool.yaml")
	d.scaleCCM(2)

	before := map[string]netip.Addr{}
	for i := range 20 {
		name := fmt.Sprintf("app-%d", i)
		d.loadBalancer(name, nil)
		before[name] = d.awaitAddress(name)
		if i%3 == 0 { // leave holes
			d.delete(name)
			delete(before, name)
		}
	}
	// unchanged checks that every Service still has its address, and that a new Service gets one
	// that no other has.
	unchanged := func(d *deployment, added string) {
		d.t.Helper()
		d.loadBalancer(added, nil)
		got := d.awaitAddress(added)
		for name, address := range before {
			service := d.service(name)
			if now := addresses(service); len(now) != 1 || now[0] != address {
				d.t.Errorf("Service %s has %v, want %s as before", name, now, address)
			}
			if address == got {
				d.t.Errorf("%s got %s, which %s has", added, got, name)
			}
		}
		before[added] = got
	}

	t.Run("the leader dies and its container follows it", func(t *testing.T) {
		d := d.in(t)
		died := d.killLeader()
		d.awaitLeaderSince(died)
		unchanged(d, "after-death")
	})

	t.Run("the API server is away for longer than the lease lasts", func(t *testing.T) {
		d := d.in(t)
		leader, err := d.Leader(d.ctx)
		if err != nil {
			t.Fatal(err)
		}
		before, err := leader.Process(ccmProcess)
		if err != nil {
			t.Fatal(err)
		}
		resume := d.stopAPI()
		d.eventually("the leader to lose the lease and start anew", func(context.Context) error {
			environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", before.PID))
			if err == nil && !strings.Contains(string(environment), "CLARION_LEASE_IDENTITY=") {
				err = errors.New("it is the process that it was")
			}
			return err
		})
		resumed := time.Now()
		resume()
		d.awaitLeaderSince(resumed)
		unchanged(d, "after-api")
		pods, err := d.Kubernetes().CoreV1().Pods(metav1.NamespaceSystem).List(d.ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + ccm})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			// The one restart is that of the test before.
			if status := pod.Status.ContainerStatuses; len(status) != 1 || status[0].RestartCount > 1 {
				t.Errorf("the containers of pod %s were restarted: %+v", pod.Name, status)
			}
		}
		if after, err := leader.Process(ccmProcess); err != nil || after.PID != before.PID {
			t.Errorf("the process on %s is %v, %v, want the one with the ID %d", leader.Name, after, err, before.PID)
		}
	})

	t.Run("every replica is restarted", func(t *testing.T) {
		d := d.in(t)
		d.restartCCM()
		unchanged(d, "after-restart")
	})

	t.Run("Services come and go while none runs", func(t *testing.T) {
		d := d.in(t)
		freed := before["after-death"]
		delete(before, "after-death")
		d.withoutCCM(1, func() {
			d.dropFinalizers("after-death") // so that its deletion does not wait for the cloud-controller-manager
			d.delete("after-death")
			d.loadBalancer("while-away", annotate("clarionlb.io/addresses", freed.String()))
		})
		if got := d.awaitAddress("while-away"); got != freed {
			t.Errorf("got %s, want the freed %s", got, freed)
		}
		before["while-away"] = freed
		unchanged(d, "after-return")
	})
}

// killLeader kills the cloud-controller-manager that leads, and returns when.
func (d *deployment) killLeader() time.Time {
	d.t.Helper()
	node, err := d.Leader(d.ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	process, err := node.Process(ccmProcess)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	return time.Now()
}

// awaitLeaderSince waits until a cloud-controller-manager has renewed its lease after some time.
func (d *deployment) awaitLeaderSince(then time.Time) {
	d.t.Helper()
	d.eventually("a replica to lead", func(ctx context.Context) error {
		l, err := d.Kubernetes().CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, lease, metav1.GetOptions{})
		if err == nil && (l.Spec.RenewTime == nil || !l.Spec.RenewTime.After(then) || ptr.Deref(l.Spec.HolderIdentity, "") == "") {
			err = fmt.Errorf("the lease is %+v", l.Spec)
		}
		return err
	})
}
