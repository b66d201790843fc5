package kubeadm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// installation is a kubeadm cluster whose first node has the control plane.
type installation struct {
	*cluster.Cluster
	t       *testing.T
	ctx     context.Context
	root    string
	started time.Time
}

func boot(t *testing.T, config cluster.Config) *installation {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	config.Kubeadm, config.ProductImage = true, productImage(t, root)
	return &installation{Cluster: cluster.New(t, config), t: t, ctx: t.Context(), root: root, started: time.Now()}
}

// productImage is the image that the manifests name.
func productImage(t *testing.T, root string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "manifests/components/release/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var release struct {
		Images []struct{ Name, NewTag string }
	}
	if err := yaml.Unmarshal(content, &release); err != nil {
		t.Fatal(err)
	}
	return release.Images[0].Name + ":" + release.Images[0].NewTag
}

// run runs a command of the documentation in the checkout: kubectl is the only one.
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
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	if words[0] != "kubectl" {
		i.t.Fatalf("%q is no command of kubectl", line)
	}
	i.t.Logf("$ %s", line)
	args := i.KubectlCommand(words[1:]...)
	cmd := exec.CommandContext(i.ctx, args[0], args[1:]...)
	var out, complaints bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = i.root, &out, &complaints
	if err := i.Control.StartCommand(cmd); err != nil {
		i.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", line, err, out.String(), complaints.String())
	}
	return out.String(), nil
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
	i.t.Logf("%5.1fs %s", time.Since(i.started).Seconds(), what)
}
