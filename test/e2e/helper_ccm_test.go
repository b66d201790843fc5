package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

// leader returns the node of the cloud-controller-manager that leads. The identity in its lease
// begins with the name of the node.
func (d *deployment) leader(ctx context.Context) (*cluster.Node, error) {
	holder, err := d.leaseHolder(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range d.Nodes() {
		if strings.HasPrefix(holder, node.Name+"_") {
			return node, nil
		}
	}
	return nil, fmt.Errorf("nobody leads: the lease is held by %q", holder)
}

// leaseHolder returns the identity of the cloud-controller-manager that leads.
func (d *deployment) leaseHolder(ctx context.Context) (string, error) {
	l, err := d.Kubernetes().CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, lease, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if l.Spec.HolderIdentity == nil {
		return "", errors.New("the lease has no holder")
	}
	return *l.Spec.HolderIdentity, nil
}

// scaleCCM sets the number of cloud-controller-managers, and waits until that many are ready.
func (d *deployment) scaleCCM(replicas int) {
	d.t.Helper()
	d.kubectl("scale", "--namespace=kube-system", "deployment/"+ccm, fmt.Sprintf("--replicas=%d", replicas))
	d.awaitCCM()
}

// restartCCM replaces all cloud-controller-managers as an upgrade does, and waits until the new
// ones are ready.
func (d *deployment) restartCCM() {
	d.t.Helper()
	d.kubectl("rollout", "restart", "--namespace=kube-system", "deployment/"+ccm)
	d.awaitCCM()
}

// awaitCCM waits until all cloud-controller-managers are of the latest version and ready.
func (d *deployment) awaitCCM() {
	d.t.Helper()
	d.kubectl("rollout", "status", "--namespace=kube-system", "deployment/"+ccm, "--timeout=120s")
}

// withoutCCM does something while no cloud-controller-manager runs, and starts some after that.
func (d *deployment) withoutCCM(replicasAfter int, do func()) {
	d.t.Helper()
	d.scaleCCM(0)
	d.eventually("no replica to run", func(context.Context) error {
		for _, node := range d.Nodes() {
			if p, err := node.Process(ccmProcess); err == nil {
				return fmt.Errorf("process %v runs on %s", p, node.Name)
			}
		}
		return nil
	})
	do()
	d.scaleCCM(replicasAfter)
}
