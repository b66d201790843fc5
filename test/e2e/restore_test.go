package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// testRestore restores etcd from a copy without a revision bump. What was created since is gone, what
// was deleted since is there again, and what has not changed is not touched.
func testRestore(o *observation) {
	o.loadBalancer("deleted", nil)
	deleted := o.awaitAddress("deleted")
	o.awaitSoleOwner(deleted)
	if err := o.Backup(); err != nil {
		o.t.Fatal(err)
	}
	o.loadBalancer("ghost", nil)
	ghost := o.awaitAddress("ghost")
	o.awaitSoleOwner(ghost)
	o.delete("deleted")
	o.awaitSilence(deleted)
	o.spendRevisions(1000)

	defer o.RightsGo()() // an API server that has just started knows no roles yet
	if err := o.Restore(o.ctx); err != nil {
		o.t.Fatal(err)
	}
	o.awaitSilence(ghost)
	o.awaitSoleOwner(deleted)
	// The cloud-controller-manager, too, knows nothing of the ghost.
	o.loadBalancer("heir", wish(ghost.String()))
	o.awaitAddresses("heir", ghost.String())
	o.awaitAddresses("deleted", deleted.String())
	o.awaitSoleOwner(ghost)
	o.undisturbed(o.addresses)
}

// awaitSilence waits until nobody claims an address, and nobody answers for it.
func (d *deployment) awaitSilence(address netip.Addr) {
	d.t.Helper()
	watch := d.watch(address)
	defer watch.Stop()
	d.eventually(fmt.Sprintf("%s to fall silent", address), func(ctx context.Context) error {
		if owner, err := d.Owner(ctx, address); err == nil {
			return fmt.Errorf("%s still claims it", owner.Name)
		}
		questions := watch.Answers(address).Questions
		if len(questions) < 20 {
			return errors.New("hardly anybody was asked")
		}
		for _, q := range questions[len(questions)-20:] {
			if len(q.Answers) > 0 {
				return errors.New("somebody answers still")
			}
		}
		return nil
	})
}

// spendRevisions has etcd give out that many revisions.
func (d *deployment) spendRevisions(count int) {
	d.t.Helper()
	maps := d.Kubernetes().CoreV1().ConfigMaps(d.namespace)
	if _, err := maps.Create(d.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "counter"}}, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
	for i := range count {
		patch := []byte(`{"data": {"count": "` + strconv.Itoa(i) + `"}}`)
		if _, err := maps.Patch(d.ctx, "counter", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
}
