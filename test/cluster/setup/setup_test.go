package setup

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCheckoutIsFoundFromInside(t *testing.T) {
	root, err := Checkout()
	if err != nil {
		t.Fatal(err)
	}
	if got := module(filepath.Join(root, "go.mod")); got != productModule {
		t.Errorf("%s is the module %q", root, got)
	}
}

func TestKubernetesKeyFollowsTheModule(t *testing.T) {
	write := func(mod, sum string) string {
		dir := t.TempDir()
		err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644), os.WriteFile(filepath.Join(dir, "go.sum"), []byte(sum), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	key := func(dir string) string {
		key, version, err := kubernetes.key(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, version+"-") {
			t.Errorf("key %s of version %s", key, version)
		}
		return key
	}
	mod := "module m\n\nrequire (\n\tk8s.io/kubernetes v1.2.3\n\tk8s.io/kubernetes-other v9.9.9\n)\n"
	first := key(write(mod, "a"))
	if !strings.HasPrefix(first, "v1.2.3-") {
		t.Error(first)
	}
	if again := key(write(mod, "a")); again != first {
		t.Errorf("%s and %s of the same module", first, again)
	}
	if other := key(write(mod, "b")); other == first {
		t.Errorf("%s of different modules", first)
	}
	if _, _, err := kubernetes.key(write("module m\n", "")); err == nil {
		t.Error("a module without Kubernetes has a key")
	}
	if other, _, err := kubeadm.key(write(mod, "a")); err != nil || other == first {
		t.Error("other programs of the same module have the same key")
	}
	ours := write("module m\n\nrequire k8s.io/kubernetes v1.2.3\n", "a")
	before := key(ours)
	if err := os.WriteFile(filepath.Join(ours, "main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := key(ours); after == before {
		t.Errorf("%s with a program of ours and without", after)
	}
}

func TestEveryCollectionHasAVersion(t *testing.T) {
	root, err := Checkout()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []collection{kubernetes, kubeadm, containerd, cni, coreDNS, conformance} {
		if _, version, err := c.key(filepath.Join(root, "test", "cluster", "binaries", c.module)); err != nil || !strings.HasPrefix(version, "v") {
			t.Errorf("%s: version %q, %v", c.name, version, err)
		}
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	err := build(t.Context(), t.TempDir(), "-o="+os.DevNull, "./nothing-here")
	if err == nil || !strings.Contains(err.Error(), "nothing-here") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := build(ctx, t.TempDir(), "./nothing-here"); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted build: %v", err)
	}
}

func TestDuringTellsWhatIsDone(t *testing.T) {
	var told bytes.Buffer
	wrong := errors.New("wrong")
	err := during(&told, "doing it", func() error { return wrong })
	if !errors.Is(err, wrong) || !strings.Contains(err.Error(), "doing it") || told.String() != "doing it\n" {
		t.Errorf("%v, %q", err, told.String())
	}
}

// TestTheProgramsHaveNothingThatTheyDoNotUse looks for methods that no program calls. If a dependency calls methods by names that are not
// known before, as text/template does, the linker has to keep all that are exported: half as much again.
func TestTheProgramsHaveNothingThatTheyDoNotUse(t *testing.T) {
	root, err := Checkout()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if released := regexp.MustCompile(`(?m)^GO_BUILD = .* -tags (\S+)`).FindSubmatch(makefile); released == nil || string(released[1]) != tags {
		t.Errorf("what is released is built with the tags %q, what is tested with %s", released, tags)
	}
	dir, err := Product(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	const unused = "k8s.io/client-go/applyconfigurations/autoscaling/v2.(*ContainerResourceMetricSourceApplyConfiguration).WithContainer"
	for _, program := range []string{"announcer", "cloud-controller-manager", "kubectl-clarion"} {
		file, err := elf.Open(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		symbols, err := file.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, s := range symbols {
			has[s.Name] = true
		}
		if !has["main.main"] || has[unused] {
			t.Errorf("%s has main.main: %t, %s: %t", program, has["main.main"], unused, has[unused])
		}
	}
}
