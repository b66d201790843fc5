package walls

import (
	"go/ast"
	"os"
	"path/filepath"
	"slices"
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

// A disk that is full, slow or broken is nothing to the programs: they write to none.
func TestTheProgramsWriteNoFiles(t *testing.T) {
	for _, program := range []string{"cmd/announcer", "cmd/cloud-controller-manager"} {
		for name := range ours(t, program) {
			for file, syntax := range sources(t, name) {
				ast.Inspect(syntax, func(n ast.Node) bool {
					if s, is := n.(*ast.SelectorExpr); is {
						if of, ok := s.X.(*ast.Ident); ok && of.Name == "os" && slices.Contains(writing, s.Sel.Name) {
							t.Errorf("%s is in %s and uses os.%s", file, program, s.Sel.Name)
						}
					}
					return true
				})
			}
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
