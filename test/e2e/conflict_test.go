package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressesOfConflictingHostsAreTakenAwayAndNotHandedOut has an Announcer report strangers, in place of the announcer.
func TestAddressesOfConflictingHostsAreTakenAwayAndNotHandedOut(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})
	d.kubectl("delete", "--namespace=clarion-system", "daemonset/announcer", "--cascade=foreground", "--wait")
	d.provide(poolWith("pool", "reuseAfter: 0s", "192.0.2.0/29"))
	d.apply(samples + "deployment.yaml")
	d.applyYAML("apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: all}\n")
	// hear has the Announcer say for which addresses strangers answer.
	hear := func(d *deployment, conflicts ...v1alpha1.Layer2Conflict) {
		d.t.Helper()
		status := v1alpha1.AnnouncerStatus{
			Layer2:     v1alpha1.Layer2Status{Interfaces: []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"192.0.2.0/24"}}}, Conflicts: conflicts},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRunning, LastTransitionTime: metav1.Now()}},
		}
		patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.Clarion.ClarionV1alpha1().Announcers().Patch(d.ctx, "n1", types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			d.t.Fatal(err)
		}
	}
	stranger := func(address string) v1alpha1.Layer2Conflict {
		return v1alpha1.Layer2Conflict{IP: address, Interface: "eth0", MAC: "02:00:00:00:00:99", Since: metav1.Now()}
	}
	inUse := func(c v1alpha1.Layer2Conflict) v1alpha1.Layer2Conflict {
		c.InUse = true
		return c
	}
	const who = "the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0)"

	t.Run("who did not insist gets another address, who did is told", func(t *testing.T) {
		d := d.in(t)
		hear(d)
		d.loadBalancers(nil, "easy")
		d.loadBalancers(wish("192.0.2.1"), "stubborn")
		d.awaitAnnounced("easy", v1alpha1.ReasonPending, "192.0.2.0 is about to be announced")
		hear(d, stranger("192.0.2.0"), stranger("192.0.2.1"))
		d.awaitEvent("easy", corev1.EventTypeWarning, "AddressConflict", "192.0.2.0: "+who)
		d.awaitEvent("stubborn", corev1.EventTypeWarning, "AddressConflict", "192.0.2.1: "+who)
		d.awaitAddresses("easy", "192.0.2.2")
		d.awaitAddresses("stubborn", "192.0.2.1")
		d.awaitAnnounced("easy", v1alpha1.ReasonPending, "192.0.2.2 is about to be announced")
		d.awaitAnnounced("stubborn", v1alpha1.ReasonAddressConflict, regexp.QuoteMeta("192.0.2.1 is not announced: "+who))
	})

	t.Run("nobody gets a contested address, neither before nor after a restart", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancers(nil, "next")
		d.awaitAddresses("next", "192.0.2.3")
		d.loadBalancer("wisher", wish("192.0.2.0"))
		d.awaitRefusal("wisher", "AddressConflict", who)
		check, events := d.untouched("easy", "stubborn", "next", "wisher"), d.events("stubborn")
		d.restartCCM()
		d.loadBalancers(nil, "later")
		d.awaitAddresses("later", "192.0.2.4")
		d.fence()
		check()
		if now := d.events("stubborn"); now["AddressConflict"] != events["AddressConflict"] {
			t.Errorf("got events %v after the restart, want %v as before", now, events)
		}
		token := d.token("monitoring")
		d.kubectl("create", "clusterrolebinding", "monitoring", "--clusterrole=system:monitoring", "--serviceaccount=default:monitoring")
		d.eventually("the metric to count the contested addresses", func(ctx context.Context) error {
			if text, status := d.metrics(ctx, token); !strings.Contains(text, "\nclarion_conflicting_addresses 2\n") {
				return fmt.Errorf("status %d without it", status)
			}
			return nil
		})
	})

	t.Run("a stranger beside the announcer of an address in use takes it from nobody", func(t *testing.T) {
		d := d.in(t)
		hear(d, stranger("192.0.2.0"), stranger("192.0.2.1"), inUse(stranger("192.0.2.3")))
		d.awaitAnnounced("next", v1alpha1.ReasonAddressConflict, regexp.QuoteMeta("192.0.2.3 is not announced: "+who))
		d.awaitEvent("next", corev1.EventTypeWarning, "AddressConflict", "192.0.2.3: "+who)
		d.fence()
		d.awaitAddresses("next", "192.0.2.3")
	})

	t.Run("all is well again when the strangers are gone", func(t *testing.T) {
		d := d.in(t)
		hear(d)
		d.awaitAddresses("wisher", "192.0.2.0")
		d.awaitAnnounced("stubborn", v1alpha1.ReasonPending, "192.0.2.1 is about to be announced")
		d.awaitAddresses("easy", "192.0.2.2")
	})
}
