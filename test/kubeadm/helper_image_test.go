package kubeadm

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/images"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// release is the image that the manifests name.
type release struct{ Name, NewTag string }

func readRelease(t *testing.T, root string) release {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "manifests/components/release/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var component struct{ Images []release }
	if err := yaml.Unmarshal(content, &component); err != nil {
		t.Fatal(err)
	}
	return component.Images[0]
}

// file is what "make image-archive" calls the image's file.
func (r release) file() string { return "clarion-" + r.NewTag + "-image.tar" }

// write writes the image's file into a folder. It stands for the one of "make image-archive", and has
// the same programs, as tests have them compiled.
func (r release) write(ctx context.Context, dir string) error {
	programs, err := setup.Product(ctx, io.Discard)
	if err != nil {
		return err
	}
	return images.Write(filepath.Join(dir, r.file()), images.Product(r.Name+":"+r.NewTag, programs))
}

// importImage brings the image's file to a machine and imports it there by a line of the guide.
func (i *installation) importImage(node *cluster.Node, command string) error {
	content, err := os.ReadFile(filepath.Join(i.desk, i.image.file()))
	if err != nil {
		return err
	}
	script := fmt.Sprintf("cd $(mktemp -d) && cat > %s && %s", i.image.file(), command)
	_, err = node.Execute(i.ctx, string(content), "sh", "-c", script)
	return err
}
