package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
)

// tags are the build tags of the Makefile's GO_BUILD.
const tags = "grpcnotrace"

// Product compiles the programs of this checkout, those under cmd/ and what the nodes of test
// clusters run of ours, and returns the folder they are in. The folder belongs to the checkout;
// what is up to date is not linked again.
func Product(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Checkout()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "bin")
	lock, err := filelock.Wait(ctx, filepath.Join(root, ".cache", "bin.lock"), func() {
		fmt.Fprintln(progress, "waiting for another process that compiles the product")
	})
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	err = during(progress, "compiling the product", func() error {
		if err := build(ctx, root, "-tags="+tags, "-o="+dir+"/", "./cmd/..."); err != nil {
			return err
		}
		return build(ctx, filepath.Join(root, "test"), "-o="+dir+"/", "./cluster/kubelet", "./cluster/machine/boot", "./cluster/images/pause")
	})
	if err != nil {
		return "", err
	}
	return dir, nil
}
