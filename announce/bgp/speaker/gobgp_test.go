package speaker

import (
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/klog/v2"
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

// If it was, GoBGP might dereference nil in a goroutine of its own, which ends the process. The peer is one that nobody can reach.
func TestGoBGPIsNotStoppedBeforeItHasSentItsOpen(t *testing.T) {
	opened, err := openGoBGP(external, netip.MustParseAddr("127.0.0.9"), klog.Background())
	must(t, err)
	c := opened.(*gobgpConnection)
	must(t, c.dial(restartState{}))
	c.close()
	if c.relay.open == nil {
		t.Errorf("it is stopped before that: %v", c.relay.err)
	}
}
