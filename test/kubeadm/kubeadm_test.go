package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

const (
	// sampleAddress is what the sample's Service wishes for.
	sampleAddress = "192.168.10.222"
	// apiOutage is how long clients are served without an API server: longer than a leader tries to
	// renew its lease. Clients of the API then wait as long again until they try the next time.
	apiOutage = 12 * time.Second
)

// laterServices are made after the cluster has been through something.
var laterServices = []string{afterOutage, afterReboot, afterControlPlane}

const (
	afterOutage       = "after-outage"
	afterReboot       = "after-reboot"
	afterControlPlane = "after-control-plane"
)

// TestFromNothingToAPageAndBack plays a person who has four machines and this repository: a cluster,
// Clarion, a page, what happens to machines, and the end. One machine is late, and is not told its
// address. The parts go on from each other.
func TestFromNothingToAPageAndBack(t *testing.T) {
	i := boot(t, cluster.Config{Nodes: 4})
	config := i.guide().block("The control plane", "yaml")
	soon, late := i.Nodes()[:3], i.Nodes()[3]
	i.found(config, soon...)
	join := withoutAddress(i.joinConfig(config, late))
	joined := make(chan error, 1)
	go func() { joined <- errors.Join(i.Join(i.ctx, late, join), i.ConnectPods(i.ctx, late)) }()
	i.network(soon...)
	i.openPage()
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(*installation)
	}{
		{"a worker loses its power, and boots again", (*installation).pullThePlug},
		{"a node without node-ip has the address that its announcer reports", (*installation).nodeWithoutAddress},
		{"processes may what the manifests say, and no more", (*installation).permissions},
		{"those who help get everything but Secrets", (*installation).supportBundle},
		{"Kubernetes' own tests of load balancers pass", (*installation).ownTests},
		{"announcers are replaced without a lost connection", (*installation).replaceAnnouncers},
		// An API server that starts anew refuses all kinds of things until it has read the roles.
		{"nobody was refused anything", (*installation).refusedNothing},
		{"addresses stay without the API server, and new ones come with it", (*installation).loseAPIServer},
		{"the control plane reboots", (*installation).rebootControlPlane},
		{"Clarion is removed, and nothing of it is left", (*installation).remove},
		{"Clarion is installed again", (*installation).installAgain},
		{"manifests that were deleted too early are applied again, and no address was lost", (*installation).deleteTooEarly},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(i.as(t)) }) {
			t.FailNow() // the next would wait for what is not there
		}
		i.lap(part.name)
	}
}

// refusedNothing looks at what the API server was asked for so far.
func (i *installation) refusedNothing() {
	events := install.CheckRights(i.t, i.Cluster, func(*auditv1.Event) bool { return false })
	if len(events) < 100 {
		i.t.Errorf("only %d requests are in the audit log", len(events))
	}
}

// nodeWithoutAddress waits for the last node, on which kube-proxy waits for an address at first.
func (i *installation) nodeWithoutAddress() {
	last := i.Nodes()[len(i.Nodes())-1]
	i.eventually("an event that says why "+last.Name+" waits", func(ctx context.Context) error {
		events, err := i.Kubernetes().CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
			FieldSelector: "reason=NoNodeAddress,involvedObject.name=" + last.Name,
		})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("there is none")
		}
		return err
	})
	i.announcersRolledOut()
	i.eventually("an address of "+last.Name, func(ctx context.Context) error {
		node, err := i.Kubernetes().CoreV1().Nodes().Get(ctx, last.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		want := corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: last.IPs()[0].String()}
		if !slices.Contains(node.Status.Addresses, want) {
			return fmt.Errorf("it has %v, want %v", node.Status.Addresses, want)
		}
		return nil
	})
	for _, node := range i.Nodes() {
		out := i.run("kubectl get node " + node.Name + " --output='jsonpath={.spec.providerID}{.spec.taints}'")
		if !strings.HasPrefix(out, "clarion://") || strings.Contains(out, "uninitialized") {
			i.t.Errorf("%s is not initialised: %s", node.Name, out)
		}
	}
	if err := last.AwaitReady(i.ctx); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) permissions() {
	const netAdmin, netRaw, sysNice = 1 << 12, 1 << 13, 1 << 23 // capabilities(7), linux/capability.h
	announcer := fmt.Sprintf("%016x", netAdmin|netRaw|sysNice)
	none := fmt.Sprintf("%016x", 0)
	for _, node := range i.Nodes() {
		want := permissions{user: "0 0 0 0", capabilities: announcer, bounding: announcer, noNewPrivileges: "1", seccomp: "2", readOnlyRoot: true}
		if got := permissionsOf(i.t, node, "announcer"); got != want {
			i.t.Errorf("the announcer on %s may %+v, want %+v", node.Name, got, want)
		}
		if slacks := timerSlacksOf(i.t, node, "announcer"); len(slacks) != 1 || slacks[kernelTimerSlack] {
			i.t.Errorf("the announcer on %s has the timer slacks %v: it could not change them", node.Name, slacks)
		}
	}
	want := permissions{user: "65532 65532 65532 65532", capabilities: none, bounding: none, noNewPrivileges: "1", seccomp: "2", readOnlyRoot: true}
	if got := permissionsOf(i.t, i.controller(), install.CCMProcess); got != want {
		i.t.Errorf("the cloud-controller-manager may %+v, want %+v", got, want)
	}
}

func (i *installation) replaceAnnouncers() {
	meter := i.measure(page)
	i.run("kubectl --namespace clarion-system rollout restart daemonset/announcer")
	i.announcersRolledOut()
	i.await(meter, "an answer of the new announcers", network.Succeeded)
	i.lostNothing(i.t, meter)
}

func (i *installation) loseAPIServer() { i.stayWithoutAPIServer(apiOutage) }

// stayWithoutAPIServer has clients served without an API server for some time.
func (i *installation) stayWithoutAPIServer(outage time.Duration) {
	i.t.Helper()
	restarts := i.restarts()
	meter := i.measure(page)
	start, err := i.StopAPIServer(i.ctx)
	if err != nil {
		i.t.Fatal(err)
	}
	stopped := time.Now()
	i.awaitWithin(outage+install.Patience, meter, "answers without an API server", func(a network.Attempt) bool {
		return a.Err == nil && a.Start.Sub(stopped) > outage
	})
	if err := start(i.ctx); err != nil {
		i.t.Fatal(err)
	}
	i.serve(afterOutage)
	i.lostNothing(i.t, meter)
	if now := i.restarts(); now != restarts {
		i.t.Errorf("containers were restarted: %s, before %s", now, restarts)
	}
}

// restarts are the counts of restarts of Clarion's containers.
func (i *installation) restarts() string {
	const counts = " --output='jsonpath={range.items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount},{end}'"
	return i.run("kubectl --namespace kube-system get pods --selector=app.kubernetes.io/name="+install.CCM+counts) +
		i.run("kubectl --namespace clarion-system get pods --selector=app.kubernetes.io/name=announcer"+counts)
}

// pullThePlug takes the power of the node that answers for the page, which the guide finds out.
func (i *installation) pullThePlug() {
	owner := i.owner(page)
	for _, command := range i.guide().commands("Pull the plug") {
		i.eventually("the name of "+owner.Name, func(context.Context) error { // events take their time
			out, err := i.try(command)
			if err == nil && !strings.Contains(out, owner.Name) {
				err = errors.New(out)
			}
			return err
		})
	}
	meter := i.measure(page)
	if err := owner.PowerOff(); err != nil {
		i.t.Fatal(err)
	}
	off := time.Now()
	recovered := i.await(meter, "another node to answer", func(a network.Attempt) bool { return a.Err == nil && a.Start.After(off) })
	i.t.Logf("answered %s after %s lost its power", recovered.End.Sub(off).Round(time.Millisecond), owner.Name)
	if err := owner.PowerOn(); err != nil {
		i.t.Fatal(err)
	}
	if err := owner.AwaitReady(i.ctx); err != nil {
		i.t.Fatal(err)
	}
	i.t.Logf("%s is back after %s", owner.Name, time.Since(off).Round(time.Millisecond))
	meter.Stop()
	i.serve(afterReboot)
}

func (i *installation) rebootControlPlane() {
	meter := i.measure(page)
	control := i.Nodes()[0]
	if err := control.Reboot(); err != nil {
		i.t.Fatal(err)
	}
	booted := time.Now()
	if err := control.AwaitReady(i.ctx); err != nil {
		i.t.Fatal(err)
	}
	i.t.Logf("%s is back after %s", control.Name, time.Since(booted).Round(time.Millisecond))
	i.serve(afterControlPlane)
	i.lostNothing(i.t, meter)
}

// remove removes Clarion as docs/install.md says, without the plugin.
func (i *installation) remove() {
	i.run("kubectl delete services web " + strings.Join(laterServices, " ") + " --timeout=60s")
	for _, command := range readDocument(i.t, "docs/install.md").commands("Removing Clarion without the plugin") {
		i.run(command)
	}
	i.eventually("all objects to go", func(context.Context) error { // pods go after what they are of
		left, err := i.try("kubectl get --all-namespaces --output=name crds,clusterroles,clusterrolebindings,namespaces,secrets," +
			"validatingadmissionpolicies,validatingadmissionpolicybindings,roles,rolebindings,serviceaccounts,pods,leases")
		if err == nil && strings.Contains(left, "clarion") {
			err = fmt.Errorf("left behind:\n%s", left)
		}
		return err
	})
	if left := i.run("kubectl get services --all-namespaces --output='jsonpath={.items[*].metadata.finalizers}'"); left != "" {
		i.t.Errorf("finalizers are left: %s", left)
	}
	for _, node := range i.Nodes() {
		for _, executable := range []string{"announcer", install.CCMProcess} {
			if process, err := node.Process(executable); err == nil {
				i.t.Errorf("%s runs on %s, with ID %d", executable, node.Name, process.PID)
			}
		}
	}
}

func (i *installation) installAgain() {
	i.samples()
	i.answers(sampleAddress)
}

// deleteTooEarly removes what serves the addresses while Services have them. What cannot be had back is refused.
func (i *installation) deleteTooEarly() {
	if _, err := i.try("kubectl delete -k manifests/ --wait=false"); err == nil || !strings.Contains(err.Error(), "clarion-in-use") {
		i.t.Errorf("what Services need was deleted: %v", err)
	}
	i.eventually("Clarion to end", func(ctx context.Context) error {
		out, err := i.Kubectl(ctx, "get", "pods", "--all-namespaces", "--selector=app.kubernetes.io/part-of=clarion", "--output=name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New(out)
		}
		return err
	})
	if address := i.awaitAddress("myapp"); address != sampleAddress {
		i.t.Errorf("the Service has the address %s now", address)
	}
	i.run("kubectl apply -k manifests/")
	i.answers(sampleAddress)
}

// owner is the node that answers for an address.
func (i *installation) owner(address string) *cluster.Node {
	i.t.Helper()
	installed := &install.Installation{Cluster: i.Cluster, Clarion: i.clients()}
	node, err := installed.Owner(i.ctx, netip.MustParseAddr(address))
	if err != nil {
		i.t.Fatal(err)
	}
	return node
}
