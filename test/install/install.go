// Package install puts Clarion on a test cluster, by the manifests that users apply, and has what
// tests and benchmarks of it share.
package install

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// CCM is the name of the cloud-controller-manager's Deployment, of its ServiceAccount and of its
// lease, all in kube-system.
const CCM = "clarion-cloud-controller-manager"

// CCMProcess is the executable of the cloud-controller-manager.
const CCMProcess = "cloud-controller-manager"

// Patience bounds every wait. It is far beyond what anything takes, so that a slow machine fails
// nothing.
const Patience = 2 * time.Minute

// Installation is a cluster with Clarion.
type Installation struct {
	*cluster.Cluster
	// Clarion is a client for Clarion's own kinds, with all rights and without a rate limit.
	Clarion versioned.Interface

	manifests string
	refusals  refusals
}

// New starts a cluster for a test or a benchmark, applies the manifests and returns when all of
// Clarion is ready.
func New(t testing.TB, config cluster.Config) *Installation {
	t.Helper()
	i := Bare(t, config)
	if err := i.Apply(t.Context(), i.manifests); err != nil {
		t.Fatal(err)
	}
	i.AwaitReady(t)
	return i
}

// Bare starts a cluster without Clarion, for a test that installs it in a way of its own. At the end it fails the test if the
// API server refused the programs anything, or if they hold more than they may.
func Bare(t testing.TB, config cluster.Config) *Installation {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	config.Audited = Accounts
	c := cluster.New(t, config)
	clarion, err := versioned.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	i := &Installation{Cluster: c, Clarion: clarion, manifests: filepath.Join(root, "manifests")}
	t.Cleanup(func() { i.checkRights(t) })
	if _, measures := t.(*testing.B); !measures {
		t.Cleanup(func() { i.checkUsage(t) })
	}
	return i
}

// AwaitReady returns when all of Clarion is ready.
func (i *Installation) AwaitReady(t testing.TB) {
	t.Helper()
	for _, workload := range [][]string{{"--namespace=kube-system", "deployment/" + CCM}, {"--namespace=clarion-system", "daemonset/announcer"}} {
		if _, err := i.Kubectl(t.Context(), append([]string{"rollout", "status", "--timeout=120s"}, workload...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// StartApp runs the sample Deployment, myapp, and returns when its pods are ready.
func (i *Installation) StartApp(t testing.TB) {
	t.Helper()
	if err := i.Apply(t.Context(), i.Sample("deployment.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Kubectl(t.Context(), "rollout", "status", "deployment/myapp", "--timeout=120s"); err != nil {
		t.Fatal(err)
	}
}

// Sample returns the path of a sample manifest.
func (i *Installation) Sample(name string) string { return filepath.Join(i.manifests, "samples", name) }

// Owner returns the node that owns an address, by Claims.
func (i *Installation) Owner(ctx context.Context, address netip.Addr) (*cluster.Node, error) {
	all, err := i.Claims(ctx)
	if err != nil {
		return nil, err
	}
	claim, claimed := all[address.String()]
	if !claimed {
		return nil, fmt.Errorf("no node claims %s", address)
	}
	return claim.Node, nil
}

// Claim is one of a node on an address.
type Claim struct {
	Node  *cluster.Node
	Epoch int64
}

// Claims returns the claim that holds on each address: of all that Announcers and ClaimSlices have, the one with the highest epoch, and
// of those the first by name of the node.
func (i *Installation) Claims(ctx context.Context) (map[string]Claim, error) {
	list, err := i.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices, err := i.Clarion.ClarionV1alpha1().ClaimSlices().List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) { // before an upgrade there are none
		return nil, err
	}
	all := map[string]Claim{}
	for _, announcer := range list.Items { // in the order of their names
		for _, claim := range claims.OfList(&announcer, slices) {
			if claim.Epoch > all[claim.IP].Epoch {
				all[claim.IP] = Claim{i.Node(announcer.Name), claim.Epoch}
			}
		}
	}
	return all, nil
}

// Eventually waits until check returns nil, and fails the test if that takes too long.
func Eventually(t testing.TB, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s: %v", what, last)
		case <-tick.C:
		}
	}
}

// MembersAlive is how many announcers that of a node has in sight, itself included: by its metrics, since no object says so.
func MembersAlive(ctx context.Context, node *cluster.Node) (int, error) {
	metrics, err := node.Run(ctx, "curl", "--silent", "--show-error", "http://127.0.0.1:7948/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(metrics) {
		if count, is := strings.CutPrefix(strings.TrimSpace(line), `clarion_announcer_members{state="alive"} `); is {
			return strconv.Atoi(count)
		}
	}
	return 0, fmt.Errorf("the announcer of %s does not say how many are in sight", node.Name)
}
