package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testFeedback(d *deployment) {
	d.scenario("events and writes to the status are for transitions only", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/31"))
		d.loadBalancers(nil, "served", "leaves")
		d.loadBalancer("waits", nil)
		d.awaitRefusal("waits", "PoolExhausted", "")
		d.awaitEvent("served", corev1.EventTypeNormal, "AddressAssigned", `192.0.2.0 from pool "pool"`)
		d.awaitEvent("waits", corev1.EventTypeWarning, "PoolExhausted", `pool "pool" has no free IPv4 address`)
		served, waits := d.events("served"), d.events("waits")
		if want := map[string]int32{"AddressAssigned": 1}; !maps.Equal(served, want) {
			d.t.Errorf("got events %v of a Service that was served, want %v", served, want)
		}
		if want := map[string]int32{"PoolExhausted": 1}; !maps.Equal(waits, want) {
			d.t.Errorf("got events %v of a Service that waits, want %v", waits, want)
		}
		silent := func(what string) {
			d.t.Helper()
			d.fence()
			if got := d.events("served"); !maps.Equal(got, served) {
				d.t.Errorf("%s: got events %v of the Service that was served, want none but %v", what, got, served)
			}
			if got := d.events("waits"); !maps.Equal(got, waits) {
				d.t.Errorf("%s: got events %v of the Service that waits, want none but %v", what, got, waits)
			}
		}

		for _, name := range []string{"served", "waits"} {
			d.update(name, annotate("example.com/unrelated", "change"))
		}
		check := d.untouched("served", "waits")
		silent("after a change that does not matter")
		d.restartCCM()
		silent("after a restart")
		check()

		d.awaitEvent("served", corev1.EventTypeWarning, v1alpha1.ReasonNotAdvertised, "192.0.2.0 is not announced: ")

		d.delete("leaves")
		d.awaitAddresses("waits", "192.0.2.1")
		d.awaitEvent("waits", corev1.EventTypeNormal, "AddressAssigned", `192.0.2.1 from pool "pool"`)
		d.provide(pool("pool", "192.0.2.0"))
		d.awaitRefusal("waits", "PoolExhausted", "")
		d.eventually("a second event of the refusal", func(context.Context) error {
			if got, want := d.events("waits"), (map[string]int32{"PoolExhausted": 2, "AddressAssigned": 1}); !maps.Equal(got, want) {
				return fmt.Errorf("events %v, want %v", got, want)
			}
			return nil
		})
	})

	d.scenario("the condition says how a Service fares, with the time of the last transition", func(d *deployment) {
		d.loadBalancer("app", nil)
		d.awaitRefusal("app", "NoMatchingPool", "there is no IPAddressPool")
		refused := d.awaitReason("app", "NoMatchingPool")
		d.provide(pool("pool", "192.0.2.0/31"))
		d.awaitAddresses("app", "192.0.2.0")
		assigned := d.awaitReason("app", "Assigned")
		if assigned.LastTransitionTime.Before(&refused.LastTransitionTime) {
			d.t.Errorf("the transition to Assigned is dated %s, before the one to the refusal, %s", assigned.LastTransitionTime, refused.LastTransitionTime)
		}
		d.update("app", wish("192.0.2.1"))
		d.awaitAddresses("app", "192.0.2.1")
		if moved := d.awaitReason("app", "Assigned"); !moved.LastTransitionTime.Equal(&assigned.LastTransitionTime) {
			d.t.Errorf("the status did not change, yet its transition is dated %s and not %s", moved.LastTransitionTime, assigned.LastTransitionTime)
		}
		d.eventually("kubectl describe to show it", func(context.Context) error {
			out := d.kubectl("describe", "service", "app")
			for _, text := range []string{"192.0.2.1", "AddressAssigned", "NoMatchingPool"} {
				if !strings.Contains(out, text) {
					return fmt.Errorf("%q is not in:\n%s", text, out)
				}
			}
			return nil
		})
	})

	d.scenario("metrics need a token", func(d *deployment) {
		d.provide(poolWith("pool", "reuseAfter: 1h", "192.0.2.0/30", "2001:db8::/126"), pool("tiny", "198.51.100.0"))
		d.loadBalancers(nil, "first", "second")
		d.loadBalancers(annotate("clarionlb.io/address-pool", "tiny"), "third")
		d.delete("second")
		d.loadBalancer("waits-1", annotate("clarionlb.io/address-pool", "tiny"))
		d.awaitRefusal("waits-1", "PoolExhausted", "")
		d.loadBalancer("waits-2", annotate("clarionlb.io/address-pool", "tiny"))
		d.awaitRefusal("waits-2", "PoolExhausted", "")
		d.loadBalancer("waits-3", wish("203.0.113.1"))
		d.awaitRefusal("waits-3", "AddressNotInPool", "")
		d.loadBalancer("confused", wish("any"))
		d.awaitRefusal("confused", "InvalidRequest", "")

		if _, status := d.metrics(d.ctx, ""); status != http.StatusUnauthorized && status != http.StatusForbidden {
			d.t.Errorf("without a token the answer is %d, want that it is refused", status)
		}
		token := d.token("scraper")
		d.kubectl("create", "clusterrole", "scraper", "--verb=get", "--non-resource-url=/metrics")
		d.kubectl("create", "clusterrolebinding", "scraper", "--clusterrole=scraper", "--serviceaccount=default:scraper")
		d.eventually("the metrics", func(ctx context.Context) error {
			text, status := d.metrics(ctx, token)
			if status != http.StatusOK {
				return fmt.Errorf("the answer is %d: %s", status, text)
			}
			lines := strings.Split(text, "\n")
			for _, want := range []string{
				`clarion_pool_addresses{family="IPv4",pool="pool",state="total"} 4`,
				`clarion_pool_addresses{family="IPv4",pool="pool",state="assigned"} 1`,
				`clarion_pool_addresses{family="IPv4",pool="pool",state="available"} 3`,
				`clarion_pool_addresses{family="IPv4",pool="pool",state="awaiting_reuse"} 1`,
				`clarion_pool_addresses{family="IPv6",pool="pool",state="total"} 4`,
				`clarion_pool_addresses{family="IPv4",pool="tiny",state="available"} 0`,
				`clarion_services_waiting{reason="PoolExhausted"} 2`,
				`clarion_services_waiting{reason="AddressNotInPool"} 1`,
				`clarion_services_waiting{reason="InvalidRequest"} 1`,
			} {
				if !slices.Contains(lines, want) {
					return fmt.Errorf("%s is not in:\n%s", want, clarionLines(lines))
				}
			}
			if strings.Contains(text, "clarion_allocation_duration_seconds_count 0\n") || !strings.Contains(text, "clarion_allocation_duration_seconds_count ") {
				return fmt.Errorf("no allocation was measured:\n%s", clarionLines(lines))
			}
			return nil
		})
		d.kubectl("delete", "clusterrolebinding/scraper", "clusterrole/scraper", "serviceaccount/scraper")
	})
}

func clarionLines(lines []string) string {
	var ours []string
	for _, line := range lines {
		if strings.HasPrefix(line, "clarion_") {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, "\n")
}
