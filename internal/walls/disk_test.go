package walls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// writing are the functions of package os that make or change files.
var writing = []string{
	"Chmod", "Create", "CreateTemp", "Link", "Mkdir", "MkdirAll", "MkdirTemp", "OpenFile", "OpenRoot", "Remove", "RemoveAll", "Rename",
	"Symlink", "Truncate", "WriteFile",
}

// A disk that is full, slow or broken is nothing to the programs: they write to none. What is below /proc is the kernel's, and on no disk.
func TestTheProgramsWriteNoFiles(t *testing.T) {
	for _, program := range []string{"cmd/announcer", "cmd/cloud-controller-manager"} {
		for name := range ours(t, program) {
			for file, syntax := range sources(t, name) {
				for _, w := range writes(syntax) {
					t.Errorf("%s is in %s and uses %s", file, program, w)
				}
			}
		}
	}
}

// writes returns the uses of writing in a source, but for WriteFile to a path that is below /proc for all to see.
func writes(syntax *ast.File) (found []string) {
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			return !isOf(n.Fun, "os", "WriteFile") || len(n.Args) == 0 || !belowProc(n.Args[0])
		case *ast.SelectorExpr:
			if isOf(n, "os", writing...) {
				found = append(found, "os."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// belowProc reports whether an expression is filepath.Join("/proc", …), with no element that is a literal and leads out of it.
func belowProc(path ast.Expr) bool {
	join, is := path.(*ast.CallExpr)
	if !is || !isOf(join.Fun, "filepath", "Join") || len(join.Args) == 0 {
		return false
	}
	for i, a := range join.Args {
		switch l, literal := a.(*ast.BasicLit); {
		case i == 0 && (!literal || l.Value != `"/proc"`):
			return false
		case literal && strings.Contains(l.Value, ".."):
			return false
		}
	}
	return true
}

// isOf reports whether an expression is one of the names of a package.
func isOf(e ast.Expr, pkg string, names ...string) bool {
	s, is := e.(*ast.SelectorExpr)
	if !is {
		return false
	}
	of, is := s.X.(*ast.Ident)
	return is && of.Name == pkg && slices.Contains(names, s.Sel.Name)
}

func TestOnlyTheKernelsFilesMayBeWritten(t *testing.T) {
	for call, want := range map[string][]string{
		`os.WriteFile(filepath.Join("/proc", thread, "timerslack_ns"), nil, 0)`: nil,
		`os.WriteFile(filepath.Join("/proc", "..", "var", "state"), nil, 0)`:    {"os.WriteFile"},
		`os.WriteFile(filepath.Join("/var", "proc"), nil, 0)`:                   {"os.WriteFile"},
		`os.WriteFile(filepath.Join(directory, "/proc"), nil, 0)`:               {"os.WriteFile"},
		`os.WriteFile(path, nil, 0)`:                                            {"os.WriteFile"},
		`os.Rename(filepath.Join("/proc", "a"), filepath.Join("/var", "b"))`:    {"os.Rename"},
		`use(os.Create)`:              {"os.Create"},
		`os.ReadFile("/etc/hosts")`:   nil,
		`use(filepath.Join("/proc"))`: nil,
	} {
		syntax, err := parser.ParseFile(token.NewFileSet(), "", "package p\nvar _ = "+call, 0)
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		if got := writes(syntax); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", call, got, want)
		}
	}
}

// The end-to-end tests on kubeadm run what the manifests say: containers that could not write if they wanted to.
func TestTheContainersCannotWriteFiles(t *testing.T) {
	for file, object := range map[string]any{
		"announcer/daemonset.yaml":                 &appsv1.DaemonSet{},
		"cloud-controller-manager/deployment.yaml": &appsv1.Deployment{},
	} {
		text, err := os.ReadFile(filepath.Join(root, "manifests", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var pod corev1.PodSpec
		switch o := object.(type) {
		case *appsv1.DaemonSet:
			pod = o.Spec.Template.Spec
		case *appsv1.Deployment:
			pod = o.Spec.Template.Spec
		}
		if len(pod.Containers) == 0 {
			t.Errorf("%s has no containers", file)
		}
		for _, c := range pod.Containers {
			if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s: container %s may write to its root filesystem", file, c.Name)
			}
			for _, m := range c.VolumeMounts {
				if !m.ReadOnly {
					t.Errorf("%s: container %s may write to volume %s", file, c.Name, m.Name)
				}
			}
		}
	}
}
