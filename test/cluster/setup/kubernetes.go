package setup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
)

// components are the programs of a control plane and the packages they are compiled from.
var components = []struct{ name, pkg string }{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
}

// minorVariable asks for a Kubernetes other than the usual one, such as "1.36".
const minorVariable = "KUBERNETES"

// kubernetesModule is the folder of the module that names the versions of the components.
func kubernetesModule(root string) (string, error) {
	dir := filepath.Join(root, "test", "cluster", "binaries")
	if minor := os.Getenv(minorVariable); minor != "" {
		dir += "-" + minor
	}
	if !exists(dir) {
		return "", fmt.Errorf("%s=%s: there is no %s", minorVariable, os.Getenv(minorVariable), dir)
	}
	return dir, nil
}

// Kubernetes returns the folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kube-proxy and kubectl in the versions that test/cluster/binaries/go.mod names or, if the variable
// KUBERNETES has a minor version, the folder binaries of that version. They are compiled when they
// are not in the cache, which all checkouts share.
func Kubernetes(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Checkout()
	if err != nil {
		return "", err
	}
	module, err := kubernetesModule(root)
	if err != nil {
		return "", err
	}
	key, version, err := kubernetesKey(module)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kubernetes", key)
	if exists(dir) {
		return dir, nil
	}
	lock, err := filelock.Wait(ctx, dir+".lock", func() {
		fmt.Fprintf(progress, "waiting for another process that compiles Kubernetes %s\n", version)
	})
	if err != nil {
		return "", err
	}
	defer lock.Remove()
	if exists(dir) {
		return dir, nil
	}
	// The folder gets its name when all of it is there. What an interrupted build left belongs to
	// nobody: the lock is ours.
	partial := dir + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755)); err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	started := time.Now()
	for i, component := range components {
		what := fmt.Sprintf("compiling %s %s (%d of %d, once per version)", component.name, version, i+1, len(components))
		err := during(progress, what, func() error {
			return build(ctx, module, "-trimpath", "-ldflags="+versionFlags(version), "-o="+filepath.Join(partial, component.name), component.pkg)
		})
		if err != nil {
			return "", err
		}
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "Kubernetes %s compiled in %s\n", version, time.Since(started).Round(time.Second))
	return dir, nil
}

// kubernetesKey names a build: everything that makes the binaries differ is in it.
func kubernetesKey(module string) (key, version string, err error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, components, versionFlags(""))
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", "", err
		}
		hash.Write(content)
		for line := range strings.Lines(string(content)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "k8s.io/kubernetes "); ok && name == "go.mod" {
				version = strings.Fields(v)[0]
			}
		}
	}
	if version == "" {
		return "", "", fmt.Errorf("%s/go.mod does not require k8s.io/kubernetes", module)
	}
	return fmt.Sprintf("%s-%x", version, hash.Sum(nil)[:6]), version, nil
}

// versionFlags stamp what the components report as their version, as the Kubernetes release does.
func versionFlags(version string) string {
	flags := []string{"-s", "-w"}
	for _, variable := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", variable+".gitVersion="+version, "-X", variable+".gitTreeState=clean")
	}
	return strings.Join(flags, " ")
}

// build compiles packages of the module in dir, statically.
func build(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("go build %s: %w\n%s", args[len(args)-1], err, output)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
