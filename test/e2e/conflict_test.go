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
)

// testConflictingHosts covers that addresses of conflicting hosts are taken away, and not handed out. It has no announcer run, and
// writes to the status of the Announcer for which addresses a conflicting host answers. Another Pod stands for the announcer's, without
// which the Announcer's word would not count.
func testConflictingHosts(d *deployment) {
	d.kubectl("delete", "--namespace=clarion-system", "daemonset/announcer", "--cascade=foreground", "--wait")
	d.kubectl("run", "stand-in", "--namespace=clarion-system", "--labels=app.kubernetes.io/name=announcer",
		"--image=registry.k8s.io/e2e-test-images/agnhost:2.53", "--", "netexec", "--http-port=8080")
	d.kubectl("wait", "--namespace=clarion-system", "--for=condition=Ready", "--timeout=120s", "pod/stand-in")
	d.provide(poolWith("pool", "reuseAfter: 0s", "192.0.2.0/29"))
	d.apply(samples + "deployment.yaml")
	d.applyYAML("apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: all}\n")
	// report has the Announcer say for which addresses conflicting hosts answer.
	report := func(d *deployment, conflicts ...v1alpha1.Layer2Conflict) {
		d.t.Helper()
		status := v1alpha1.AnnouncerStatus{
			Layer2:     v1alpha1.Layer2Status{Interfaces: []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"192.0.0.0/16"}}}, Conflicts: conflicts},
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
	conflict := func(address string) v1alpha1.Layer2Conflict {
		return v1alpha1.Layer2Conflict{IP: address, Interface: "eth0", MAC: "02:00:00:00:00:99", Since: metav1.Now()}
	}
	inUse := func(c v1alpha1.Layer2Conflict) v1alpha1.Layer2Conflict {
		c.InUse = true
		return c
	}
	const who = "the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0)"

	d.t.Run("a Service moves to another address, unless it asks for the one in conflict", func(t *testing.T) {
		d := d.in(t)
		report(d)
		d.loadBalancers(nil, "flexible")
		d.loadBalancers(wish("192.0.2.1"), "insisting")
		d.awaitAnnounced("flexible", v1alpha1.ReasonPending, "192.0.2.0 is about to be announced")
		report(d, conflict("192.0.2.0"), conflict("192.0.2.1"))
		d.awaitEvent("flexible", corev1.EventTypeWarning, "AddressConflict", "192.0.2.0: "+who)
		d.awaitEvent("insisting", corev1.EventTypeWarning, "AddressConflict", "192.0.2.1: "+who)
		d.awaitAddresses("flexible", "192.0.2.2")
		d.awaitAddresses("insisting", "192.0.2.1")
		d.awaitAnnounced("flexible", v1alpha1.ReasonPending, "192.0.2.2 is about to be announced")
		d.awaitAnnounced("insisting", v1alpha1.ReasonAddressConflict, regexp.QuoteMeta("192.0.2.1 is not announced: "+who))
	})

	d.t.Run("nobody gets an address in conflict, neither before nor after a restart", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancers(nil, "next")
		d.awaitAddresses("next", "192.0.2.3")
		d.loadBalancer("wisher", wish("192.0.2.0"))
		d.awaitRefusal("wisher", "AddressConflict", who)
		check, events := d.untouched("flexible", "insisting", "next", "wisher"), d.events("insisting")
		d.restartCCM()
		d.loadBalancers(nil, "later")
		d.awaitAddresses("later", "192.0.2.4")
		d.fence()
		check()
		if now := d.events("insisting"); now["AddressConflict"] != events["AddressConflict"] {
			t.Errorf("got events %v after the restart, want %v as before", now, events)
		}
		token := d.token("monitoring")
		d.kubectl("create", "clusterrolebinding", "monitoring", "--clusterrole=system:monitoring", "--serviceaccount=default:monitoring")
		d.eventually("the metric to count the addresses in conflict", func(ctx context.Context) error {
			if text, status := d.metrics(ctx, token); !strings.Contains(text, "\nclarion_conflicting_addresses 2\n") {
				return fmt.Errorf("status %d without it", status)
			}
			return nil
		})
	})

	d.t.Run("a Service keeps an address that a node announces, although another host answers for it too", func(t *testing.T) {
		d := d.in(t)
		report(d, conflict("192.0.2.0"), conflict("192.0.2.1"), inUse(conflict("192.0.2.3")))
		d.awaitAnnounced("next", v1alpha1.ReasonAddressConflict, regexp.QuoteMeta("192.0.2.3 is not announced: "+who))
		d.awaitEvent("next", corev1.EventTypeWarning, "AddressConflict", "192.0.2.3: "+who)
		d.fence()
		d.awaitAddresses("next", "192.0.2.3")
	})

	d.t.Run("addresses can be used again when the conflicting hosts are gone", func(t *testing.T) {
		d := d.in(t)
		report(d)
		d.awaitAddresses("wisher", "192.0.2.0")
		d.awaitAnnounced("insisting", v1alpha1.ReasonPending, "192.0.2.1 is about to be announced")
		d.awaitAddresses("flexible", "192.0.2.2")
	})
}
