package e2e

import (
	"context"
	"fmt"
)

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
