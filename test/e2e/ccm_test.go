package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

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

	t.Run("the leader dies", func(t *testing.T) {
		d := d.in(t)
		died, holder := d.killLeader()
		d.eventually("the other replica to lead", func(ctx context.Context) error {
			now, err := d.leaseHolder(ctx)
			if err == nil && (now == holder || now == "") {
				err = fmt.Errorf("the lease is held by %q", now)
			}
			return err
		})
		unchanged(d, "after-death")
		t.Logf("%s was the leader's node", died.Name)
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

// killLeader kills the cloud-controller-manager that leads, and returns its node and its identity
// in the lease.
func (d *deployment) killLeader() (*cluster.Node, string) {
	d.t.Helper()
	node, err := d.leader(d.ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	holder, err := d.leaseHolder(d.ctx)
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
	return node, holder
}
