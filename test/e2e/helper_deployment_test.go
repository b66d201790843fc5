package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

const (
	samples    = "../../manifests/samples/"
	patience   = install.Patience
	ccm        = install.CCM
	lease      = install.CCM
	ccmProcess = install.CCMProcess
)

// deployment is a cluster with Clarion, for use in one test or subtest.
type deployment struct {
	*install.Installation
	t   *testing.T
	ctx context.Context
	// namespace is that of the Services that the methods are about.
	namespace string
	// watcher is a host on the nodes' LAN that asks who has addresses.
	watcher *network.Host
}

// deploy starts a cluster, applies the manifests and waits until all of Clarion is ready.
func deploy(t *testing.T, config cluster.Config) *deployment {
	t.Helper()
	return newDeployment(t, install.New(t, config))
}

// newDeployment makes a deployment of a cluster in which Clarion is, or will be, installed.
func newDeployment(t *testing.T, installation *install.Installation) *deployment {
	t.Helper()
	watcher, err := installation.AddHost("watcher", 101)
	if err != nil {
		t.Fatal(err)
	}
	return &deployment{Installation: installation, t: t, ctx: t.Context(), namespace: metav1.NamespaceDefault, watcher: watcher}
}

// apply applies manifests, which are files or folders.
func (d *deployment) apply(paths ...string) {
	d.t.Helper()
	if err := d.Apply(d.ctx, paths...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) applyYAML(text string) {
	d.t.Helper()
	if err := d.ApplyYAML(d.ctx, text); err != nil {
		d.t.Fatal(err)
	}
}

// kubectl runs kubectl and returns what it writes.
func (d *deployment) kubectl(args ...string) string {
	d.t.Helper()
	out, err := d.Kubectl(d.ctx, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// powerOff takes the power from a node, at once.
func (d *deployment) powerOff(node *cluster.Node) {
	d.t.Helper()
	if err := node.PowerOff(); err != nil {
		d.t.Fatal(err)
	}
}

// powerOn boots a node and waits until it is Ready.
func (d *deployment) powerOn(node *cluster.Node) {
	d.t.Helper()
	if err := node.PowerOn(); err != nil {
		d.t.Fatal(err)
	}
	if err := node.AwaitReady(d.ctx); err != nil {
		d.t.Fatal(err)
	}
}

// eventually waits until check returns nil, and fails the test if that takes too long.
func (d *deployment) eventually(what string, check func(ctx context.Context) error) {
	d.t.Helper()
	install.Eventually(d.t, what, check)
}

// in returns the deployment for use in a subtest.
func (d *deployment) in(t *testing.T) *deployment {
	sub := *d
	sub.t, sub.ctx = t, t.Context()
	return &sub
}

// run returns a subtest that runs scenarios.
func (d *deployment) run(scenarios func(*deployment)) func(*testing.T) {
	return func(t *testing.T) { scenarios(d.in(t)) }
}

// within returns the deployment for use with another namespace, which it creates if there is none.
func (d *deployment) within(namespace string) *deployment {
	d.t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	_, err := d.Kubernetes().CoreV1().Namespaces().Create(d.ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		d.t.Fatal(err)
	}
	sub := *d
	sub.namespace = namespace
	return &sub
}

// stopAPI freezes the API server until resume is called or the test ends.
func (d *deployment) stopAPI() (resume func()) {
	d.t.Helper()
	servers, err := d.Control.Processes("kube-apiserver")
	if err != nil || len(servers) != 1 {
		d.t.Fatalf("API servers: %v, %v", servers, err)
	}
	if err := servers[0].Stop(); err != nil {
		d.t.Fatal(err)
	}
	resume = func() {
		if err := servers[0].Continue(); err != nil {
			d.t.Error(err)
		}
	}
	d.t.Cleanup(resume)
	return resume
}
