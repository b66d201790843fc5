package setup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
)

// collection is programs of others that are compiled from one Go module.
type collection struct {
	// name is that of its folder in the cache.
	name string
	// module is the folder of the module that says in which versions, below test/cluster/binaries; empty is
	// that of Kubernetes.
	module string
	// release is the module that gives the collection its version.
	release  string
	programs []program
}

// program is a program and the package that it is compiled from.
type program struct{ name, pkg string }

var majorVersion = regexp.MustCompile(`/v\d+$`)

// built is what the compiler calls the program, out of several (go help build).
func (p program) built() string {
	if p.pkg == "." {
		return p.name // that of the folder
	}
	return path.Base(majorVersion.ReplaceAllString(p.pkg, ""))
}

// dir returns the folder with the collection's programs. They are compiled when they are not in the
// cache, which all checkouts share.
func (c collection) dir(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Checkout()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "test", "cluster", "binaries", c.module)
	if c.module == "" {
		if module, err = kubernetesModule(root); err != nil {
			return "", err
		}
	}
	key, version, err := c.key(module)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, c.name, key)
	if exists(dir) {
		return dir, nil
	}
	lock, err := filelock.Wait(ctx, dir+".lock", func() {
		fmt.Fprintf(progress, "waiting for another process that compiles %s %s\n", c.name, version)
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
	if err := c.compile(ctx, progress, module, version, partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "%s %s compiled in %s\n", c.name, version, time.Since(started).Round(time.Second))
	return dir, nil
}

// compile compiles all programs at once: a program is linked by one processor, and the others go on
// with the next.
func (c collection) compile(ctx context.Context, progress io.Writer, module, version, dir string) error {
	args := []string{"-trimpath", "-ldflags=" + versionFlags(version), "-o=" + dir + "/"}
	var names []string
	for _, program := range c.programs {
		names, args = append(names, program.name), append(args, program.pkg)
	}
	what := fmt.Sprintf("compiling %s %s (once per version)", strings.Join(names, ", "), version)
	if err := during(progress, what, func() error { return build(ctx, module, args...) }); err != nil {
		return err
	}
	for _, program := range c.programs {
		if err := os.Rename(filepath.Join(dir, program.built()), filepath.Join(dir, program.name)); err != nil {
			return err
		}
	}
	return nil
}

// key names a build: everything that makes the programs differ is in it.
func (c collection) key(module string) (key, version string, err error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, c.programs, versionFlags(""))
	sources, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return "", "", err
	}
	for _, path := range append(sources, filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", "", err
		}
		hash.Write(content)
		for line := range strings.Lines(string(content)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
			if v, ok := strings.CutPrefix(line, c.release+" "); ok && filepath.Base(path) == "go.mod" {
				version = strings.Fields(v)[0]
			}
		}
	}
	if version == "" {
		return "", "", fmt.Errorf("%s/go.mod does not require %s", module, c.release)
	}
	return fmt.Sprintf("%s-%x", version, hash.Sum(nil)[:6]), version, nil
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
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
