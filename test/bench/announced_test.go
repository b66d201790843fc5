package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// BenchmarkAnnouncedCondition moves the addresses of 1,000 of 5,000 Services from one node to four
// others, as a failover does. It measures what it costs the cloud-controller-manager to update the
// Announced condition of each of them. The nodes are objects alone: the benchmark writes what their
// announcers would write.
func BenchmarkAnnouncedCondition(b *testing.B) {
	const nodes, each = 5, 1000
	audit, config := newAudit(b, cluster.Config{})
	config.Flags["kube-controller-manager"] = []string{"--node-startup-grace-period=24h"} // nobody reports for the nodes
	c := newControl(b, config)
	all := names("app", nodes*each)
	c.create("", all...)
	c.awaitServed(all...)
	addresses := c.addresses()

	held := make([][]v1alpha1.Layer2Address, nodes)
	for i, name := range all {
		held[i/each] = append(held[i/each], v1alpha1.Layer2Address{IP: addresses[name], Interfaces: []string{"eth0"}, Epoch: 1, Since: metav1.Now()})
	}
	for i := range nodes {
		c.addNode(nodeName(i))
		c.record(nodeName(i), held[i])
	}
	c.awaitCondition(all, announcedByOtherThan(""))

	results := figures{}
	p := c.process()
	moving := all[:each]
	for run := int64(0); b.Loop(); run++ {
		parts := make([][]v1alpha1.Layer2Address, nodes)
		for i := range moving {
			claim := held[0][i]
			claim.Epoch, claim.Since = 2+2*run, metav1.Now()
			parts[1+i%(nodes-1)] = append(parts[1+i%(nodes-1)], claim)
		}
		mark, busy, began := audit.mark(b), cpuTime(b, p), time.Now()
		for i := 1; i < nodes; i++ {
			c.record(nodeName(i), slices.Concat(held[i], parts[i]))
		}
		c.record(nodeName(0), nil)
		last := c.awaitPatches(audit, mark, each)
		results.addDuration("ms-to-last", last.Sub(began))
		c.awaitCondition(moving, announcedByOtherThan(nodeName(0)))
		results.add("cpu-s", (cpuTime(b, p) - busy).Seconds())
		calls, err := count(audit, mark, all)
		if err != nil {
			b.Fatal(err)
		}
		results.add("patches/service", float64(calls[patchService])/each)

		for i := range moving { // and back
			held[0][i].Epoch = 3 + 2*run
		}
		mark = audit.mark(b)
		c.record(nodeName(0), held[0])
		c.awaitPatches(audit, mark, each)
		for i := 1; i < nodes; i++ {
			c.record(nodeName(i), held[i])
		}
	}
	results.report(b, "ms-to-last", "cpu-s")
}

func nodeName(i int) string { return fmt.Sprintf("m%d", i) }

// addresses returns the addresses that Services have, by name.
func (c *control) addresses() map[string]string {
	c.b.Helper()
	services, err := c.client.CoreV1().Services(metav1.NamespaceDefault).List(c.b.Context(), metav1.ListOptions{})
	if err != nil {
		c.b.Fatal(err)
	}
	addresses := map[string]string{}
	for _, service := range services.Items {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			addresses[service.Name] = ingress.IP
		}
	}
	return addresses
}

// addNode creates a Node and its Announcer. Nothing runs for them.
func (c *control) addNode(name string) {
	c.b.Helper()
	if _, err := c.client.CoreV1().Nodes().Create(c.b.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{Unschedulable: true},
	}, metav1.CreateOptions{}); err != nil {
		c.b.Fatal(err)
	}
	if _, err := c.Clarion.ClarionV1alpha1().Announcers().Create(c.b.Context(), &v1alpha1.Announcer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}, metav1.CreateOptions{}); err != nil {
		c.b.Fatal(err)
	}
}

// record writes to the status of an Announcer that its node announces addresses.
func (c *control) record(node string, addresses []v1alpha1.Layer2Address) {
	c.b.Helper()
	status := v1alpha1.AnnouncerStatus{
		Layer2:     v1alpha1.Layer2Status{Addresses: addresses},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRunning, LastTransitionTime: metav1.Now()}},
	}
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
	if err != nil {
		c.b.Fatal(err)
	}
	if _, err := c.Clarion.ClarionV1alpha1().Announcers().Patch(c.b.Context(), node, types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		c.b.Fatal(err)
	}
}

// awaitPatches waits until the API server has answered that many patches of Services since a mark,
// and returns when it saw that.
func (c *control) awaitPatches(audit *audit, mark int64, patches int) time.Time {
	c.b.Helper()
	install.Eventually(c.b, "the patches", func(context.Context) error {
		calls, err := audit.since(mark)
		if err != nil {
			return err
		}
		calls = slices.DeleteFunc(calls, func(call call) bool { return call.String() != patchService })
		if len(calls) < patches {
			return fmt.Errorf("%d of %d", len(calls), patches)
		}
		return nil
	})
	return time.Now()
}

// announcedByOtherThan matches conditions which say that a Service is announced by another node.
func announcedByOtherThan(node string) func(metav1.Condition) bool {
	return func(condition metav1.Condition) bool {
		var address, by string
		fmt.Sscanf(condition.Message, "%s is announced by %s", &address, &by)
		return condition.Status == metav1.ConditionTrue && by != node
	}
}
