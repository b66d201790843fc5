package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

// notOurs are folders that are generated.
var notOurs = []string{root + "/client", root + "/bin"}

// parsed are the files of the module, tests included, by path.
var parsed = sync.OnceValues(func() (map[string]*ast.File, error) {
	files := map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains(notOurs, path) || strings.HasPrefix(entry.Name(), ".") && path != root):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		files[path] = syntax
		return err
	})
	return files, err
})

func allFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sources are the files of a package, without tests.
func sources(t *testing.T, name string) []*ast.File {
	t.Helper()
	var found []*ast.File
	for path, syntax := range allFiles(t) {
		if filepath.Dir(path) == filepath.Join(root, name) && !strings.HasSuffix(path, "_test.go") {
			found = append(found, syntax)
		}
	}
	return found
}

// packages are the folders of the product that have Go files, from the root.
func packages(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for path := range allFiles(t) {
		if name, err := filepath.Rel(root, filepath.Dir(path)); err == nil && !strings.HasPrefix(name, "test/") {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// inspect shows every node of the product's files, without tests.
func inspect(t *testing.T, see func(file string, n ast.Node)) {
	t.Helper()
	for path, syntax := range allFiles(t) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, root+"/test/") {
			continue
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			see(path, n)
			return true
		})
	}
}

// stringConstants are the constants of some files that begin with a prefix and are of a type by its
// name; "" is any. Those that are another constant are looked up under its name.
func stringConstants(files []*ast.File, prefix, of string) map[string]string {
	found := map[string]string{}
	for _, file := range files {
		for _, decl := range file.Decls {
			group, is := decl.(*ast.GenDecl)
			if !is || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				kind, _ := value.Type.(*ast.Ident)
				if of != "" && (kind == nil || kind.Name != of) {
					continue
				}
				for i, name := range value.Names {
					if i >= len(value.Values) || !strings.HasPrefix(name.Name, prefix) {
						continue
					}
					if literal, is := value.Values[i].(*ast.BasicLit); is && literal.Kind == token.STRING {
						found[name.Name] = text(literal)
					}
				}
			}
		}
	}
	return found
}

func values(constants map[string]string) []string { return slices.Sorted(maps.Values(constants)) }

// text is what a literal string says; "" for another literal.
func text(literal *ast.BasicLit) string {
	s, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return s
}
