package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// TestEndpointsOfADeadNodeLeaveWithIt has Kubernetes notice nothing: what becomes of the endpoints of a node comes of the announcers and
// of the cloud-controller-manager alone.
func TestEndpointsOfADeadNodeLeaveWithIt(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 4, Flags: map[string][]string{
		"kube-controller-manager": {"--node-monitor-grace-period=1h"},
	}}))
	d.apply("../../manifests/overlays/withdraw-endpoints")
	d.AwaitReady(t)
	d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml")
	d.StartApp(t)
	d.loadBalancer("web", nil)
	d.awaitAnswer(d.Client, d.awaitAddress("web"))
	d.awaitAllAlive()
	d.awaitLeases()

	t.Run("nobody takes a node for dead of which the announcer alone is", d.run(testOnlyTheAnnouncerIsDead))
	t.Run("no majority takes two of four nodes for dead", d.run(testTwoOfFourAreDead))
	t.Run("nobody sends to the pods of a node without power until it is back", d.run(testADeadNode))
	t.Run("both programs may write nothing else", d.run(testRightsToWithdraw))
}

// awaitLeases waits until all announcers take part.
func (d *deployment) awaitLeases() {
	d.t.Helper()
	d.eventually("a Lease of each announcer", func(ctx context.Context) error {
		if leases := d.leases(ctx); len(leases) != len(d.Nodes()) {
			return fmt.Errorf("there are %d", len(leases))
		}
		return nil
	})
}

// leases are those in which announcers record which nodes are dead, by node.
func (d *deployment) leases(ctx context.Context) map[string]coordinationv1.Lease {
	d.t.Helper()
	list, err := d.Kubernetes().CoordinationV1().Leases("clarion-system").List(ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	leases := map[string]coordinationv1.Lease{}
	for _, lease := range list.Items {
		leases[lease.Name] = lease
	}
	return leases
}

// records are the Leases as they are: what is the same afterwards has not been written meanwhile.
func (d *deployment) records() map[string]string {
	versions := map[string]string{}
	for name, lease := range d.leases(d.ctx) {
		versions[name] = lease.ResourceVersion + " " + lease.Annotations[v1alpha1.AnnotationDeadNodes]
	}
	return versions
}

// victims are nodes with a pod of the sample Deployment and without the cloud-controller-manager.
func (d *deployment) victims() (victims []*cluster.Node) {
	d.t.Helper()
	leader, err := d.Leader(d.ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	for name := range d.appPods() {
		if node := d.Node(name); node != leader {
			victims = append(victims, node)
		}
	}
	if len(victims) < 2 {
		d.t.Fatalf("pods are on %v, and the cloud-controller-manager is on %s", slices.Collect(maps.Keys(d.appPods())), leader.Name)
	}
	return victims
}

// appPods are the pods of the sample Deployment, by node.
func (d *deployment) appPods() map[string]corev1.Pod {
	d.t.Helper()
	list, err := d.Kubernetes().CoreV1().Pods(metav1.NamespaceDefault).List(d.ctx, metav1.ListOptions{LabelSelector: "app=myapp"})
	if err != nil {
		d.t.Fatal(err)
	}
	pods := map[string]corev1.Pod{}
	for _, pod := range list.Items {
		pods[pod.Spec.NodeName] = pod
	}
	return pods
}

// others are all nodes but these.
func (d *deployment) others(than ...*cluster.Node) []*cluster.Node {
	return slices.DeleteFunc(slices.Clone(d.Nodes()), func(node *cluster.Node) bool { return slices.Contains(than, node) })
}

func testOnlyTheAnnouncerIsDead(d *deployment) {
	node, before := d.victims()[0], d.records()
	announcer, err := node.Process("announcer")
	if err != nil {
		d.t.Fatal(err)
	}
	if err := announcer.Stop(); err != nil {
		d.t.Fatal(err)
	}
	d.awaitAlive(3, d.others(node)...)
	if err := announcer.Continue(); err != nil {
		d.t.Fatal(err)
	}
	d.awaitAllAlive()
	if after := d.records(); !maps.Equal(after, before) {
		d.t.Errorf("%v has become %v", before, after)
	}
}

func testTwoOfFourAreDead(d *deployment) {
	dead, before := d.victims()[:2], d.records()
	// Power is taken from one node after the other. Who is left with the second one would be a
	// majority against the first one.
	announcer, err := dead[1].Process("announcer")
	if err != nil {
		d.t.Fatal(err)
	}
	if err := announcer.Stop(); err != nil {
		d.t.Fatal(err)
	}
	for _, node := range dead {
		d.powerOff(node)
	}
	d.awaitAlive(2, d.others(dead...)...)
	meter := d.Client.Measure(netip.AddrPortFrom(d.awaitAddress("web"), 80), network.MeterOptions{Interval: 20 * time.Millisecond})
	for range 100 { // longer than it takes to find out that a node is dead
		if _, err := meter.Await(d.ctx, func(network.Attempt) bool { return true }); err != nil {
			d.t.Fatal(err)
		}
	}
	meter.Stop()
	// The first one that is back makes a majority that may take the other one for dead.
	if after := d.records(); !maps.Equal(after, before) {
		d.t.Errorf("%v has become %v", before, after)
	}
	for _, node := range dead {
		events := d.nodeEvents(node)
		delete(events, "Synced") // when it was initialised
		if len(events) > 0 {
			d.t.Errorf("events of %s: %v", node.Name, events)
		}
	}
	for _, node := range dead {
		d.powerOn(node)
	}
	d.awaitAnnouncers()
	d.awaitAllAlive()
	d.awaitApp()
}

// nodeEvents are the messages of Clarion's events on a node, by reason.
func (d *deployment) nodeEvents(node *cluster.Node) map[string]string {
	d.t.Helper()
	list, err := d.Kubernetes().CoreV1().Events(metav1.NamespaceDefault).List(d.ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Node,source=clarion,involvedObject.name=" + node.Name,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	events := map[string]string{}
	for _, event := range list.Items {
		events[event.Reason] = event.Message
	}
	return events
}

// awaitApp waits until all pods of the sample Deployment are ready endpoints.
func (d *deployment) awaitApp() {
	d.t.Helper()
	d.awaitEndpoints(func(endpoint discoveryv1.Endpoint) bool { return *endpoint.Conditions.Ready })
}

// awaitEndpoints waits until all endpoints of the Service web match.
func (d *deployment) awaitEndpoints(match func(discoveryv1.Endpoint) bool) {
	d.t.Helper()
	d.eventually("the endpoints", func(ctx context.Context) error {
		list, err := d.Kubernetes().DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil {
			return err
		}
		count := 0
		for _, slice := range list.Items {
			for _, endpoint := range slice.Endpoints {
				if count++; !match(endpoint) {
					return fmt.Errorf("that on %s is not as it should be: %v", *endpoint.NodeName, endpoint.Conditions)
				}
			}
		}
		if count != 3 {
			return fmt.Errorf("there are %d", count)
		}
		return nil
	})
}

func testADeadNode(d *deployment) {
	node := d.victims()[0]
	inside := d.others(node)[0].Host
	service := d.service("web")
	external, internal := netip.MustParseAddr(service.Status.LoadBalancer.Ingress[0].IP), netip.MustParseAddr(service.Spec.ClusterIP)
	clients := map[string]struct {
		from *network.Host
		to   netip.Addr
	}{"on the LAN": {d.Client, external}, "behind the router": {d.FarClient, external}, "in the cluster": {inside, internal}}
	meters := map[string]*network.Meter{}
	for name, client := range clients {
		meter := client.from.Measure(netip.AddrPortFrom(client.to, 80), network.MeterOptions{Interval: 20 * time.Millisecond})
		d.t.Cleanup(func() { meter.Stop() })
		d.awaitSuccess(meter)
		meters[name] = meter
	}

	off := time.Now()
	d.powerOff(node)
	d.awaitEndpoints(func(endpoint discoveryv1.Endpoint) bool {
		return *endpoint.Conditions.Ready == (*endpoint.NodeName != node.Name)
	})
	for name, client := range clients {
		d.eventually("every connection to be answered of the client "+name, func(ctx context.Context) error {
			meter := client.from.Measure(netip.AddrPortFrom(client.to, 80), network.MeterOptions{})
			for range 100 {
				if _, err := meter.Await(ctx, func(network.Attempt) bool { return true }); err != nil {
					meter.Stop()
					return err
				}
			}
			if report := meter.Stop(); report.Failures > 0 {
				return fmt.Errorf("%s", report)
			}
			return nil
		})
	}
	for name, meter := range meters {
		last, failed := time.Time{}, 0
		for _, attempt := range meter.Stop().Attempts {
			if attempt.Err != nil {
				failed++
				last = attempt.Start
			}
		}
		d.t.Logf("of the client %s %d connections failed, the last began %s after the power went", name, failed, last.Sub(off))
	}
	if pod := d.appPods()[node.Name]; !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionFalse && c.Reason == v1alpha1.ReasonNodeUnreachable && c.Message != ""
	}) {
		d.t.Errorf("the pod says %v", pod.Status.Conditions)
	}
	d.eventually("an event of the node", func(context.Context) error {
		if message := d.nodeEvents(node)["EndpointsWithdrawn"]; !strings.Contains(message, "3 of 4") {
			return fmt.Errorf("there are %v", d.nodeEvents(node))
		}
		return nil
	})

	d.powerOn(node)
	d.awaitAnnouncers()
	d.awaitApp()
	d.eventually("the records to be taken back", func(ctx context.Context) error {
		for name, lease := range d.leases(ctx) {
			if dead := lease.Annotations[v1alpha1.AnnotationDeadNodes]; dead != "" {
				return fmt.Errorf("%s records %s", name, dead)
			}
		}
		return nil
	})
}

// testRightsToWithdraw has a thief use the tokens of both programs.
func testRightsToWithdraw(d *deployment) {
	var pod corev1.Pod
	for _, pod = range d.appPods() {
	}
	pods := kubernetes.NewForConfigOrDie(d.as(metav1.NamespaceSystem, ccm)).CoreV1().Pods(pod.Namespace)
	const ready = `"conditions": [{"type": "Ready", "status": "False", "reason": "NodeUnreachable"}`
	for _, patch := range []string{
		`{"status": {"phase": "Failed"}}`,
		`{"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Other"}]}}`,
		`{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "NodeUnreachable"}]}}`,
		`{"status": {` + ready + `, {"type": "example.com/gate", "status": "True"}]}}`,
		`{"status": {` + ready + `], "phase": "Failed"}}`,
		`{"status": {` + ready + `], "containerStatuses": [{"name": "myapp", "ready": false}]}}`,
		`{"metadata": {"labels": {"app": "other"}}, "status": {` + ready + `]}}`,
	} {
		_, err := pods.Patch(d.ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "the cloud-controller-manager may only") {
			d.t.Errorf("%s: got %v, want it to be forbidden, with the reason", patch, err)
		}
	}
	leases := kubernetes.NewForConfigOrDie(d.as("clarion-system", "announcer")).CoordinationV1().Leases("clarion-system")
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		_, err := leases.Patch(d.ctx, name, types.MergePatchType, []byte(`{"spec": {"holderIdentity": "thief"}}`), metav1.PatchOptions{})
		if err != nil && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `may not write the Lease "`+name+`"`)) {
			d.t.Errorf("the Lease %s: %v", name, err)
		}
	}
	thief := 0
	for _, lease := range d.leases(d.ctx) {
		if *lease.Spec.HolderIdentity == "thief" {
			thief++
		}
	}
	if thief != 1 {
		d.t.Errorf("it could write %d Leases, want its own node's alone", thief)
	}
}
