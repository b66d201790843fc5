package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// TestAnnouncersFailOverAndAnswerForEachAddressFromOneNode loses announcers and nodes under Services in use.
func TestAnnouncersFailOverAndAnswerForEachAddressFromOneNode(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 3})
	d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml", samples+"deployment.yaml", samples+"service.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")
	address := d.awaitAddress("myapp")
	d.awaitAnswer(address)

	t.Run("the announcer is restarted", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("rollout", "restart", "--namespace=clarion-system", "daemonset/announcer")
		d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
		d.awaitSoleOwner(address)
	})

	t.Run("the announcer is killed", func(t *testing.T) {
		d := d.in(t)
		owner := d.awaitSoleOwner(address)
		announcer, err := owner.Process("announcer")
		if err != nil {
			t.Fatal(err)
		}
		if err := announcer.Kill(); err != nil {
			t.Fatal(err)
		}
		d.awaitSoleOwner(address)
	})

	t.Run("the owner loses its power and takes nothing back when it returns", func(t *testing.T) {
		d := d.in(t)
		meter := d.Client.Measure(netip.AddrPortFrom(address, 80), network.MeterOptions{})
		owner := d.awaitSoleOwner(address)
		if err := owner.PowerOff(); err != nil {
			t.Fatal(err)
		}
		d.eventually("another node to own the address", func(ctx context.Context) error {
			now, err := d.Owner(ctx, address)
			if err == nil && now.Name == owner.Name {
				err = fmt.Errorf("%s still owns it", now.Name)
			}
			return err
		})
		heir := d.awaitSoleOwner(address)
		report := meter.Stop()
		t.Logf("the client's measurement, from before the power-off until after: %s; longest gap %s", report, report.LongestGap)

		if err := owner.PowerOn(); err != nil {
			t.Fatal(err)
		}
		if err := owner.AwaitReady(d.ctx); err != nil {
			t.Fatal(err)
		}
		d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
		if now := d.awaitSoleOwner(address); now.Name != heir.Name {
			t.Errorf("%s owns the address after the former owner's return, want %s, the incumbent", now.Name, heir.Name)
		}
	})
}

// TestAddressesOutliveTheCloudControllerManager restarts and loses it.
func TestAddressesOutliveTheCloudControllerManager(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 2})
	d.apply(samples + "pool.yaml")
	d.kubectl("scale", "--namespace=kube-system", "deployment/"+ccm, "--replicas=2")
	d.kubectl("rollout", "status", "--namespace=kube-system", "deployment/"+ccm, "--timeout=120s")

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
	// unchanged checks that every Service still has its address, and that a new one gets one that nobody has.
	unchanged := func(d *deployment, newcomer string) {
		d.t.Helper()
		d.loadBalancer(newcomer, nil)
		got := d.awaitAddress(newcomer)
		for name, address := range before {
			service := d.service(name)
			if now := addresses(service); len(now) != 1 || now[0] != address {
				d.t.Errorf("Service %s has %v, want %s as before", name, now, address)
			}
			if address == got {
				d.t.Errorf("%s got %s, which %s has", newcomer, got, name)
			}
		}
		before[newcomer] = got
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
		d.kubectl("rollout", "restart", "--namespace=kube-system", "deployment/"+ccm)
		d.kubectl("rollout", "status", "--namespace=kube-system", "deployment/"+ccm, "--timeout=120s")
		unchanged(d, "after-restart")
	})

	t.Run("Services come and go while it is away", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("scale", "--namespace=kube-system", "deployment/"+ccm, "--replicas=0")
		d.eventually("no replica to run", func(context.Context) error {
			for _, node := range d.Nodes() {
				if p, err := node.Process(ccmProcess); err == nil {
					return fmt.Errorf("process %v runs on %s", p, node.Name)
				}
			}
			return nil
		})
		// One is deleted with its finalizer forced away, so that nobody hears of it.
		freed := before["after-death"]
		delete(before, "after-death")
		if _, err := d.Kubernetes().CoreV1().Services(corev1.NamespaceDefault).Patch(d.ctx, "after-death", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		d.delete("after-death")
		d.loadBalancer("while-away", annotate("clarionlb.io/addresses", freed.String()))
		d.kubectl("scale", "--namespace=kube-system", "deployment/"+ccm, "--replicas=1")
		if got := d.awaitAddress("while-away"); got != freed {
			t.Errorf("got %s, want the freed %s", got, freed)
		}
		before["while-away"] = freed
		unchanged(d, "after-return")
	})
}
