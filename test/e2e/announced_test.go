package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAServiceSaysWhoAnnouncesItOrWhyNobodyDoes follows the Announced condition through a Service's
// life.
func TestAServiceSaysWhoAnnouncesItOrWhyNobodyDoes(t *testing.T) {
	t.Parallel()
	d := deployLogging(t, cluster.Config{Nodes: 3, Flags: map[string][]string{"kube-controller-manager": {"--node-monitor-period=1s", "--node-monitor-grace-period=10s"}}})
	d.scaleCCM(2)
	d.apply(samples + "pool.yaml")
	d.loadBalancer("web", nil)
	address := d.awaitAddress("web")
	// announced is what the Service says when a node announces its address, or any node if the name
	// is empty.
	announced := func(node string) string {
		if node == "" {
			node = "n[1-3]"
		}
		return fmt.Sprintf(`%s is announced by %s on eth0 since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, address, node)
	}
	notAnnounced := address.String() + " is not announced: "

	t.Run("no advertisement", func(t *testing.T) {
		d := d.in(t)
		d.awaitAnnounced("web", v1alpha1.ReasonNotAdvertised, notAnnounced+"no L2Advertisement or BGPAdvertisement selects this address")
		d.asks(1, "why web", "there is no L2Advertisement and no BGPAdvertisement")
		d.asks(1, "status", "0 of 1 in order", "default/web")
	})

	t.Run("no endpoint", func(t *testing.T) {
		d := d.in(t)
		d.apply(samples + "l2advertisement.yaml")
		d.awaitAnnounced("web", v1alpha1.ReasonNoEndpoint, notAnnounced+"the Service has no endpoint that can serve")
		d.asks(1, "why web", "no endpoint")
	})

	t.Run("announced, also by those with whom it shares the address", func(t *testing.T) {
		d := d.in(t)
		d.apply(samples + "deployment.yaml")
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(d.awaitSoleOwner(address).Name))
		share := annotate("clarionlb.io/allow-shared-ip", "key")
		d.update("web", all(share, wish(address.String())))
		d.loadBalancer("idle", all(share, wish(address.String()), port(8080), func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app": "nothing"}
		}))
		d.awaitAnnounced("idle", v1alpha1.ReasonAnnounced, announced(""))
		d.delete("idle")
		d.update("web", all(withoutAnnotations, wish("")))
	})

	t.Run("kubectl clarion says so", func(t *testing.T) { d.in(t).testPlugin("web", address) })

	t.Run("a condition that somebody else changes is restored, and nothing else written", func(t *testing.T) {
		d := d.in(t)
		d.patchStatus("web", `{"conditions": []}`)
		said := d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(""))
		d.patchStatus("web", `{"conditions": [{"type": "clarionlb.io/Announced", "status": "False", "reason": "NoNode", "message": "so they say", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}`)
		if again := d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced("")); again.Message != said.Message {
			t.Errorf("it said %q and then %q", said.Message, again.Message)
		}
		d.awaitReason("web", "Assigned")
		check := d.untouched("web")
		d.restartCCM()
		d.loadBalancer("fence", nil)
		d.awaitAddress("fence")
		d.delete("fence")
		check()
	})

	t.Run("the page of the dashboard shows it, and follows", func(t *testing.T) { d.in(t).testDashboard("web") })

	t.Run("a restart of the announcers changes nothing", func(t *testing.T) {
		d := d.in(t)
		d.awaitAllAlive()
		check := d.untouched("web")
		d.restartAnnouncers()
		d.awaitAllAlive()
		check()
	})

	t.Run("an announcer that is killed again and again is said to be down until it is back", func(t *testing.T) {
		d := d.in(t)
		owner := d.awaitSoleOwner(address)
		other := d.Nodes()[slices.IndexFunc(d.Nodes(), func(n *cluster.Node) bool { return n != owner })]
		d.withAnnouncerDown(other, func() {
			d.awaitColumns(other.Name, "False", v1alpha1.ReasonAnnouncerDown)
			d.asks(0, "why web", address.String())
			d.asks(0, "status", "1 of 1 in order", "2 of 3 announcers in sight", "Node "+other.Name+": The announcer does not run")
		})
		d.awaitAnnouncers()
		d.awaitColumns(other.Name, "True", v1alpha1.ReasonRunning, "0")
		d.awaitAllAlive()
	})

	t.Run("another node when the first has lost its power", func(t *testing.T) {
		d := d.in(t)
		owner := d.awaitSoleOwner(address)
		predicted := d.predicted("fail", owner.Name)[address.String()]
		d.powerOff(owner)
		next := d.awaitOtherOwner(address, owner)
		if next.Name != predicted {
			d.t.Errorf("%s has taken the address over, and kubectl clarion simulate said that %q would", next.Name, predicted)
		}
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(next.Name))
		d.awaitColumns(owner.Name, "Unknown", v1alpha1.ReasonNodeUnreachable)
		d.asks(0, "why web", next.Name)
		d.asks(1, "why node/"+owner.Name, "unreachable")
		d.powerOn(owner)
		d.awaitAnnouncers()
		d.awaitColumns(owner.Name, "True", v1alpha1.ReasonRunning, "0")
		d.awaitColumns(next.Name, "True", v1alpha1.ReasonRunning, "1")
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(next.Name))
	})

	t.Run("no endpoint any more, and one again", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("scale", "deployment/myapp", "--replicas=0")
		d.awaitAnnounced("web", v1alpha1.ReasonNoEndpoint, notAnnounced+"the Service has no endpoint that can serve")
		d.asks(1, "why "+address.String(), "no endpoint")
		d.awaitEvent("web", corev1.EventTypeWarning, v1alpha1.ReasonNoEndpoint, notAnnounced+"the Service has no endpoint that can serve")
		d.kubectl("scale", "deployment/myapp", "--replicas=1")
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(""))
		d.awaitEvent("web", corev1.EventTypeNormal, "AddressAnnounced", address.String()+" is announced by ")
	})

	t.Run("no node that is eligible", func(t *testing.T) {
		d := d.in(t)
		d.kubectl("label", "nodes", "--all", corev1.LabelNodeExcludeBalancers+"=true")
		d.awaitAnnounced("web", v1alpha1.ReasonNoNode, notAnnounced+"no node can: n1, n2 and n3 \\(the node is labelled "+corev1.LabelNodeExcludeBalancers+"; remove the label\\)")
		d.asks(1, "why web", corev1.LabelNodeExcludeBalancers)
		d.asks(1, "why node/n1", corev1.LabelNodeExcludeBalancers)
		d.kubectl("label", "nodes", "--all", corev1.LabelNodeExcludeBalancers+"-")
		d.awaitAnnounced("web", v1alpha1.ReasonAnnounced, announced(""))
	})

	t.Run("addresses are announced although the API refuses to record them, and the Announcer says so", func(t *testing.T) {
		testUnrecorded(d.in(t))
	})

	t.Run("no cloud-controller-manager", func(t *testing.T) {
		d := d.in(t)
		d.withoutCCM(2, func() {
			d.loadBalancer("unanswered", nil)
			d.awaitEvent("unanswered", corev1.EventTypeWarning, "NotAnswered", "none runs")
			d.asks(1, "why unanswered", "nobody hands out addresses")
			d.asks(1, "status", "default/unanswered")
		})
		d.awaitAddress("unanswered")
		d.delete("unanswered")
	})

	t.Run("a Service that is no load balancer any more says nothing", func(t *testing.T) {
		d := d.in(t)
		d.update("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		d.eventually("the conditions to go", func(context.Context) error {
			if s := d.service("web"); len(s.Status.Conditions) != 0 || len(addresses(s)) != 0 {
				return fmt.Errorf("status %v", s.Status)
			}
			return nil
		})
	})

	t.Run("the logs of both programs are JSON, and say nothing over and over again", d.run(testLogs))
}

// testPlugin asks kubectl clarion about a Service that is announced, and that is the only one.
func (d *deployment) testPlugin(service string, address netip.Addr) {
	owner := d.awaitSoleOwner(address)
	d.awaitAnnounced(service, v1alpha1.ReasonAnnounced, address.String()+" is announced by "+owner.Name+" .*")
	d.asks(0, "why "+service, address.String(), owner.Name)
	d.asks(0, "why "+address.String(), "default/"+service, owner.Name)
	d.asks(0, "why node/"+owner.Name, address.String())
	d.asks(0, "status", "1 of 1 in order", "3 of 3 announcers in sight")
	d.asks(0, "pools", "public", address.String(), "default/"+service)
	d.asks(0, "announcers", "n1", "n2", "n3")
	d.asks(0, "bgp")
	d.asks(0, "events", address.String())
	d.asks(0, "diff -f "+samples+"pool.yaml", "Nothing changes")
	d.asks(1, "diff --prune -f "+samples+"pool.yaml", "L2Advertisement ", "is deleted", address.String())
	d.testSupportBundle()
}

// awaitColumns waits until kubectl get shows of an Announcer what these columns begin with, after its name.
func (d *deployment) awaitColumns(node string, want ...string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("kubectl to show Announcer %s as %q", node, want), func(ctx context.Context) error {
		out, err := d.Kubectl(ctx, "get", "announcers", node, "--no-headers")
		if err != nil {
			return err
		}
		if got := strings.Fields(out); len(got) <= len(want) || !slices.Equal(got[1:len(want)+1], want) {
			return fmt.Errorf("it shows %q", out)
		}
		return nil
	})
}
