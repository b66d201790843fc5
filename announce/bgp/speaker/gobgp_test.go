package speaker

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyFilesNamedAfterGoBGPKnowIt(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range files {
		if strings.HasPrefix(file, "gobgp") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		must(t, err)
		for _, spec := range syntax.Imports {
			if strings.Contains(spec.Path.Value, "/osrg/gobgp/") {
				t.Errorf("%s imports %s", file, spec.Path.Value)
			}
		}
	}
}
