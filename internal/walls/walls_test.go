// Package walls has no code: its test keeps apart what must not grow together.
package walls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/clarionlb/clarion/"
	root   = "../.."
)

// pure are the packages that decide: values in, values out. They have no clock, no client, no socket and no goroutine.
var pure = []string{"loadbalancer", "announce/election", "announce/plan", "announce/bgp", "internal/claims", "internal/migrate"}

// harmless are the packages that pure ones may import besides each other.
var harmless = []string{
	"bytes", "cmp", "encoding/binary", "encoding/json", "errors", "fmt", "hash/fnv", "io", "iter", "maps", "math", "math/bits", "net/netip",
	"path", "reflect", "regexp", "slices", "sort", "strconv", "strings", "sync", "time",
	"k8s.io/api/apps/v1", "k8s.io/api/core/v1", "k8s.io/api/discovery/v1", "k8s.io/apimachinery/pkg/api/meta", "k8s.io/apimachinery/pkg/apis/meta/v1",
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured", "k8s.io/apimachinery/pkg/runtime",
	"k8s.io/apimachinery/pkg/labels", "k8s.io/apimachinery/pkg/types", "k8s.io/apimachinery/pkg/util/resourceversion", "sigs.k8s.io/yaml", "k8s.io/utils/third_party/forked/golang/btree",
	module + "api/v1alpha1", module + "internal/guard", module + "internal/lastgood", module + "internal/scope", module + "internal/spelling",
}

// clock are the functions of package time that ask for the time or wait for it.
var clock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

func TestWhatDecidesTouchesNothing(t *testing.T) {
	allowed := slices.Clone(harmless)
	for _, name := range pure {
		allowed = append(allowed, module+name)
	}
	for _, name := range pure {
		for file, syntax := range sources(t, name) {
			for _, path := range imports(syntax) {
				if !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", file, path)
				}
			}
			ast.Inspect(syntax, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s starts a goroutine", file)
				case *ast.SelectorExpr:
					if of, ok := n.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains(clock, n.Sel.Name) {
						t.Errorf("%s asks for the time: time.%s", file, n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// TestImportsPointOneWay has for each package those of ours that it may import, with what they import.
func TestImportsPointOneWay(t *testing.T) {
	for name, allowed := range map[string][]string{
		"api/v1alpha1":       {},
		"internal/notify":    {},
		"internal/guard":     {},
		"internal/lastgood":  {"api", "internal/guard"},
		"internal/spelling":  {},
		"internal/claims":    {"api"},
		"internal/scope":     {"api", "internal/spelling"},
		"loadbalancer":       {"api", "internal/guard", "internal/lastgood", "internal/spelling"},
		"announce/bgp":       {},
		"announce/bfd":       {"internal"},
		"announce/heartbeat": {"announce/bfd", "internal"},
		"announce/layer2":    {"internal"},
		"announce/reject":    {"internal"},
		"announce/kubeproxy": {"announce/bgp", "announce/election", "announce/plan", "api", "internal", "loadbalancer"},
		"announce/plan":      {"announce/bgp", "announce/election", "api", "internal", "loadbalancer"},
		"announce/kube":      {"announce/bgp", "announce/election", "announce/plan", "api", "client", "internal", "loadbalancer"},
		"provider":           {"announce/bgp", "announce/election", "announce/plan", "api", "client", "internal", "loadbalancer", "provider"},
		"announce/peering":   {"announce/bfd", "announce/bgp", "announce/election", "announce/kubeproxy", "announce/layer2", "announce/plan", "announce/reject", "api", "internal", "loadbalancer"},
		// What a node must not be able to do is not compiled into what runs once in the cluster, and the other way round.
		"cmd/cloud-controller-manager": {"announce/bgp", "announce/election", "announce/plan", "api", "client", "internal", "loadbalancer", "provider"},
		"cmd/announcer":                {"announce", "api", "client", "internal", "loadbalancer"},
		"cmd/kubectl-clarion":          {"announce/bgp", "announce/election", "announce/layer2", "announce/plan", "api", "client", "internal", "loadbalancer", "manifests", "provider/announced", "provider/internal", "provider/pools"},
		"internal/migrate":             {"api", "internal/guard", "internal/lastgood", "internal/scope", "internal/spelling", "loadbalancer"},
	} {
		for path := range ours(t, name) {
			below := func(of string) bool { return path == of || strings.HasPrefix(path, of+"/") }
			if of := path; of != name && !slices.ContainsFunc(allowed, below) {
				t.Errorf("%s imports %s, directly or not", name, of)
			}
			if path == "announce/bgp/speaker" && !slices.Contains([]string{"cmd/announcer", "announce/peering"}, name) {
				t.Errorf("%s imports %s, directly or not", name, path)
			}
		}
	}
}

// ours are the packages of this module that one of them consists of, itself among them.
func ours(t *testing.T, name string) map[string]bool {
	t.Helper()
	found, next := map[string]bool{name: true}, []string{name}
	for len(next) > 0 {
		for _, syntax := range sources(t, next[0]) {
			for _, path := range imports(syntax) {
				if path, is := strings.CutPrefix(path, module); is && !found[path] {
					found[path] = true
					next = append(next, path)
				}
			}
		}
		next = next[1:]
	}
	return found
}

// sources are the files of a package but for its tests.
func sources(t *testing.T, name string) map[string]*ast.File {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		path := filepath.Join(root, name, entry.Name())
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = syntax
	}
	if len(files) == 0 {
		t.Fatalf("package %s has no files", name)
	}
	return files
}

func imports(file *ast.File) []string {
	paths := map[string]bool{}
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
		paths[path] = true
	}
	return slices.Sorted(maps.Keys(paths))
}
