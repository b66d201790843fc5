package kubeadm

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/release"
)

// readImage is the image that the manifests name, of the machine's own platform.
func readImage(t *testing.T, root string) release.Build {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "manifests/components/release/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var component struct {
		Images []struct{ Name, NewTag string }
	}
	if err := yaml.Unmarshal(content, &component); err != nil {
		t.Fatal(err)
	}
	named := component.Images[0]
	if named.Name != release.Repository {
		t.Fatalf("the image of a release is %s, and the manifests name %s", release.Repository, named.Name)
	}
	return imageOf(named.NewTag)
}

func imageOf(version string) release.Build {
	return release.Build{Version: version, Revision: "unknown", Created: time.Unix(1, 0), Platforms: []v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}}}
}

// writeImage writes an image's file as "make image-archive" does, of the programs in a folder.
func writeImage(image release.Build, programs, file string) error {
	binaries, err := os.MkdirTemp("", "binaries-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(binaries)
	if err := os.Mkdir(filepath.Join(binaries, "linux"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(programs, filepath.Join(binaries, "linux", runtime.GOARCH)); err != nil {
		return err
	}
	image.Binaries = binaries
	return image.WriteArchive(file)
}

// writeProduct writes the file of the image that the manifests name to where the person works, of the programs as tests have them compiled.
func (i *installation) writeProduct(ctx context.Context) error {
	programs, err := setup.Product(ctx, io.Discard)
	if err != nil {
		return err
	}
	return writeImage(i.image, programs, filepath.Join(i.desk, i.image.Archive()))
}

// importImage brings an image's file from where the person works to machines, and imports it on each by a line of shell.
func (i *installation) importImage(nodes []*cluster.Node, name, command string) error {
	content, err := os.ReadFile(filepath.Join(i.desk, name))
	if err != nil {
		return err
	}
	var machines errgroup.Group
	for _, node := range nodes {
		machines.Go(func() error {
			_, err := node.Execute(i.ctx, string(content), "sh", "-c", "cd $(mktemp -d) && cat > "+name+" && "+strings.TrimSpace(command))
			return err
		})
	}
	return machines.Wait()
}

// importArchive imports an image's file that no document is about.
func (i *installation) importArchive(nodes []*cluster.Node, name string) {
	i.t.Helper()
	if err := i.importImage(nodes, name, "ctr --namespace=k8s.io images import --local "+name); err != nil {
		i.t.Fatal(err)
	}
}
