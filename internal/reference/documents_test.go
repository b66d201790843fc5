package reference

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	isTest   = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	isSymbol = regexp.MustCompile(`^([a-z]\w*)\.[A-Z]\w*(\.[A-Z]\w*)?$`)
	isPath   = regexp.MustCompile(`^(announce|api|client|cmd|docs|internal|loadbalancer|manifests|provider|test|tools)(/[\w.-]+)*$`)
	isLink   = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)]*))?\)`)
)

// documents are the texts of all documents, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found, err := Documents(root)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLinksLeadSomewhere follows every link of a document to a file or folder, and to a heading.
func TestLinksLeadSomewhere(t *testing.T) {
	all := documents(t)
	for path, content := range all {
		for _, link := range isLink.FindAllStringSubmatch(inBackticks.ReplaceAllString(isFenced.ReplaceAllString(content, ""), "code"), -1) {
			to := path
			if link[1] != "" {
				to = filepath.Join(filepath.Dir(path), link[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", path, link[1])
			} else if link[2] != "" && !anchors(all[to])[link[2]] {
				t.Errorf("%s links to %s#%s, and there is no such heading", path, link[1], link[2])
			}
		}
	}
}

// TestDocumentsNameTargetsOfMakeThatThereAre reads what documents have as code.
func TestDocumentsNameTargetsOfMakeThatThereAre(t *testing.T) {
	targets, named := makeTargets(t), 0
	for path, content := range documents(t) {
		for _, command := range Commands(content) {
			for _, target := range madeTargets(command) {
				if named++; !targets[target] {
					t.Errorf("%s has %q, and there is no target %s", path, command, target)
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d targets are named", named)
	}
}

// TestWhatDocumentsNameIsThere holds the names of tests, files, folders, types and functions that
// documents have in backticks against the code.
func TestWhatDocumentsNameIsThere(t *testing.T) {
	symbols := symbolsOf(t)
	for document, content := range documents(t) {
		for _, found := range inBackticks.FindAllStringSubmatch(isFenced.ReplaceAllString(content, ""), -1) {
			switch name := found[1]; {
			case isTest.MatchString(name):
				if !symbols[name] {
					t.Errorf("%s names the test %s, which is not there", document, name)
				}
			case isPath.MatchString(name):
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Errorf("%s names %s, which is not there", document, name)
				}
			case isSymbol.MatchString(name):
				parts := isSymbol.FindStringSubmatch(name)
				if symbols["package "+parts[1]] && !symbols[name] {
					t.Errorf("%s names %s, which is not there", document, name)
				}
			}
		}
	}
}

// symbolsOf are the packages of the product, their types and functions as package.Name, methods and
// fields as package.Type.Name, and the names of all tests.
func symbolsOf(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for path, file := range allFiles(t) {
		if strings.HasSuffix(path, "_test.go") {
			for _, decl := range file.Decls {
				if function, is := decl.(*ast.FuncDecl); is {
					found[function.Name.Name] = true
				}
			}
			continue
		}
		name := file.Name.Name
		if strings.HasPrefix(path, root+"/test/") || name == "main" {
			continue
		}
		found["package "+name] = true
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				of := name
				if decl.Recv != nil {
					of += "." + receiver(decl.Recv.List[0].Type)
				}
				found[of+"."+decl.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						found[name+"."+spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, value := range spec.Names {
							found[name+"."+value.Name] = true
						}
					}
				}
			}
		}
	}
	return found
}

// receiver is the name of the type of a method.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}
