package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAMistakeOfAnOperatorTakesNoAddressAway edits mistakes into the only L2Advertisement while clients
// use the addresses, and restores etcd as it should not be.
func TestAMistakeOfAnOperatorTakesNoAddressAway(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 2, Families: []corev1.IPFamily{ipv4, ipv6}})
	f := d.newFleet(2)
	f.during("it names a pool that does not exist, and all programs are restarted", testUnknownPool)
	f.during("the API server refuses what it can see to be wrong", testRefusedSelector)
	f.during("etcd is restored from a copy, without a revision bump", testRestore)
}

const onlyAdvertisement = "l2advertisement/public"

func testUnknownPool(o *observation) {
	o.awaitReady(onlyAdvertisement, v1alpha1.ReasonValid, "in use")
	clients := o.connect(o.addresses)
	o.kubectl("patch", onlyAdvertisement, "--type=merge", `--patch={"spec": {"ipAddressPools": ["publik"]}}`)
	const says = "there is no IPAddressPool publik; the last good version stays in force"
	o.awaitReady(onlyAdvertisement, v1alpha1.ReasonUnknownName, says)
	o.restartAnnouncers()
	o.awaitAllAlive()
	o.restartCCM()
	// A new address is announced by what is in force.
	o.loadBalancer("later", nil)
	o.awaitSoleOwner(o.awaitAddress("later"))
	o.awaitReady(onlyAdvertisement, v1alpha1.ReasonUnknownName, says)
	o.undisturbed(o.addresses)
	clients.lostNothing()

	o.kubectl("patch", onlyAdvertisement, "--type=merge", `--patch={"spec": {"ipAddressPools": ["public"]}}`)
	o.awaitReady(onlyAdvertisement, v1alpha1.ReasonValid, "in use")
	o.undisturbed(o.addresses)
}

func testRefusedSelector(o *observation) {
	for patch, says := range map[string]string{
		`{"interfaces": ["eth[0"]}`: "spec.interfaces",
		`{"nodeSelectors": [{"matchExpressions": [{"key": "rack", "operator": "Inn", "values": ["a"]}]}]}`: "operator",
		`{"nodeSelectors": [{"matchExpressions": [{"key": "rack", "operator": "In"}]}]}`:                   "need values",
	} {
		out, err := o.Kubectl(o.ctx, "patch", onlyAdvertisement, "--type=merge", `--patch={"spec": `+patch+`}`)
		if err == nil || !strings.Contains(out+err.Error(), says) {
			o.t.Errorf("%s: %s %v, want %q", patch, out, err, says)
		}
	}
	o.undisturbed(o.addresses)
}
