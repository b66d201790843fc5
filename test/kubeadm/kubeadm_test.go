package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

const (
	// sampleAddress is what the sample's Service wishes for.
	sampleAddress = "192.168.10.222"
	// apiOutage is how long clients are served without an API server.
	apiOutage = 20 * time.Second
)

// laterServices are made after the cluster has been through something.
var laterServices = []string{afterOutage, afterReboot, afterControlPlane}

const (
	afterOutage       = "after-outage"
	afterReboot       = "after-reboot"
	afterControlPlane = "after-control-plane"
)

// TestFromNothingToServicesAndBack plays a person who has three machines and the documentation: a
// cluster, Clarion, the samples, what happens to machines, and the end. The parts go on from each
// other.
func TestFromNothingToServicesAndBack(t *testing.T) {
	i := boot(t, cluster.Config{Nodes: 3})
	i.found(readDocument(t, guide).block(t, newCluster, "yaml"))
	i.samples()
	i.answers(sampleAddress)
	for _, part := range []struct {
		name string
		run  func(*installation)
	}{
		{"a node without node-ip has the address that its announcer reports", (*installation).nodeWithoutAddress},
		{"processes may what the manifests say, and no more", (*installation).permissions},
		{"announcers are replaced without a lost connection", (*installation).replaceAnnouncers},
		{"addresses stay without the API server, and new ones come with it", (*installation).loseAPIServer},
		{"a worker reboots", (*installation).rebootOwner},
		{"the control plane reboots", (*installation).rebootControlPlane},
		{"Clarion is removed, and nothing of it is left", (*installation).remove},
		{"Clarion is installed again", (*installation).installAgain},
		{"manifests that were deleted too early are applied again, and no address was lost", (*installation).deleteTooEarly},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(i.as(t)) }) {
			t.FailNow() // the next would wait for what is not there
		}
	}
}

func (i *installation) nodeWithoutAddress() {
	last := i.last()
	node, err := i.Kubernetes().CoreV1().Nodes().Get(i.ctx, last.Name, metav1.GetOptions{})
	if err != nil {
		i.t.Fatal(err)
	}
	internal := ""
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			internal += address.Address + " "
		}
	}
	if want := last.IPs()[0].String(); !strings.Contains(internal, want+" ") {
		i.t.Errorf("%s has the internal addresses %q, want %s", last.Name, internal, want)
	}
	for _, node := range i.Nodes() {
		out := i.run("kubectl get node " + node.Name + " --output=jsonpath={.spec.providerID}{.spec.taints}")
		if !strings.HasPrefix(out, "clarion://") || strings.Contains(out, "uninitialized") {
			i.t.Errorf("%s is not initialised: %s", node.Name, out)
		}
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
	}
	want := permissions{user: "65532 65532 65532 65532", capabilities: none, bounding: none, noNewPrivileges: "1", seccomp: "2", readOnlyRoot: true}
	if got := permissionsOf(i.t, i.Nodes()[0], install.CCMProcess); got != want {
		i.t.Errorf("the cloud-controller-manager may %+v, want %+v", got, want)
	}
}

func (i *installation) replaceAnnouncers() {
	meter := i.measure(sampleAddress)
	i.run("kubectl --namespace clarion-system rollout restart daemonset/announcer")
	i.run("kubectl --namespace clarion-system rollout status daemonset/announcer --timeout=120s")
	i.await(meter, "an answer of the new announcers", network.Succeeded)
	i.lostNothing(i.t, meter)
}

func (i *installation) loseAPIServer() {
	restarts := i.restarts()
	meter := i.measure(sampleAddress)
	start, err := i.StopAPIServer(i.ctx)
	if err != nil {
		i.t.Fatal(err)
	}
	stopped := time.Now()
	i.await(meter, "answers without an API server", func(a network.Attempt) bool { return a.Err == nil && a.Start.Sub(stopped) > apiOutage })
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
	const counts = " --output=jsonpath={range.items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount},{end}"
	return i.run("kubectl --namespace kube-system get pods --selector=app.kubernetes.io/name="+install.CCM+counts) +
		i.run("kubectl --namespace clarion-system get pods --selector=app.kubernetes.io/name=announcer"+counts)
}

func (i *installation) rebootOwner() {
	owner := i.owner(sampleAddress)
	meter := i.measure(sampleAddress)
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
	i.run("kubectl --namespace clarion-system rollout status daemonset/announcer --timeout=120s")
	i.t.Logf("%s is back after %s", owner.Name, time.Since(off).Round(time.Millisecond))
	meter.Stop()
	i.serve(afterReboot)
}

func (i *installation) rebootControlPlane() {
	meter := i.measure(sampleAddress)
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

// remove removes Clarion as docs/install.md says: Services first, then pools, then everything.
func (i *installation) remove() {
	i.run("kubectl delete services myapp " + strings.Join(laterServices, " ") + " --ignore-not-found --timeout=60s")
	i.run("kubectl delete ipaddresspools --all --timeout=60s")
	i.run("kubectl delete -k manifests/ --timeout=120s")
	left := i.run("kubectl get --all-namespaces --output=name crds,clusterroles,clusterrolebindings,validatingadmissionpolicies," +
		"validatingadmissionpolicybindings,namespaces,roles,rolebindings,serviceaccounts,secrets,pods")
	if strings.Contains(left, "clarion") {
		i.t.Errorf("left behind:\n%s", left)
	}
	if left := i.run("kubectl get services --all-namespaces --output=jsonpath={.items[*].metadata.finalizers}"); left != "" {
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
	i.run("kubectl apply -k manifests/")
	i.run("kubectl wait --for=condition=Established --timeout=60s --all crds")
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
