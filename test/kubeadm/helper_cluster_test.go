package kubeadm

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
	"github.com/clarionlb/clarion/test/release"
)

// installation is a kubeadm cluster whose first node has the control plane, and the person who makes
// it.
type installation struct {
	*cluster.Cluster
	t     *testing.T
	ctx   context.Context
	image release.Build
	// desk is the folder in which the person works. It has the manifests, and the image's file.
	desk string
	// overlay is the folder there that the person applies in place of manifests/, if there is one.
	overlay string
	started time.Time
}

// boot switches machines on. The person has a checkout of the repository, and the image's file.
func boot(t *testing.T, config cluster.Config) *installation {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, ctx: t.Context(), image: readImage(t, root), desk: t.TempDir()}
	if err := os.Symlink(filepath.Join(root, "manifests"), filepath.Join(i.desk, "manifests")); err != nil {
		t.Fatal(err)
	}
	var image errgroup.Group
	image.Go(func() error { return i.writeProduct(i.ctx) })
	config.Kubeadm, config.Audited = true, install.Accounts
	i.Cluster = cluster.New(t, config)
	if err := image.Wait(); err != nil {
		t.Fatal(err)
	}
	i.started = time.Now()
	return i
}

// write writes a file where the person works.
func (i *installation) write(name, content string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.desk, name), []byte(content), 0o644); err != nil {
		i.t.Fatal(err)
	}
}

// run runs a line of the documentation where the person works: on the machine of the control plane.
func (i *installation) run(line string) string {
	i.t.Helper()
	out, err := i.try(line)
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

// try is run for a command that may fail. The error has what it wrote.
func (i *installation) try(line string) (string, error) {
	i.t.Helper()
	i.lap("$ " + line)
	return i.Shell(i.ctx, i.desk, line)
}

// runOn runs a line of the documentation on a machine.
func (i *installation) runOn(node *cluster.Node, line string) string {
	i.t.Helper()
	i.lap(node.Name + "$ " + line)
	out, err := node.Execute(i.ctx, "", "sh", "-c", line)
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

func (i *installation) eventually(what string, check func(context.Context) error) {
	i.t.Helper()
	install.Eventually(i.t, what, check)
}

// clients are for Clarion's own kinds.
func (i *installation) clients() versioned.Interface {
	i.t.Helper()
	clients, err := versioned.NewForConfig(i.RESTConfig())
	if err != nil {
		i.t.Fatal(err)
	}
	return clients
}

// lap logs how long the installation took so far.
func (i *installation) lap(what string) {
	i.t.Helper()
	i.t.Logf("%5.1fs %s", time.Since(i.started).Seconds(), what)
}

// as is the installation for a subtest.
func (i *installation) as(t *testing.T) *installation {
	copied := *i
	copied.t, copied.ctx = t, t.Context()
	return &copied
}
