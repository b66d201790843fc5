package reference

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	isName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	// isHelp is a sentence, which a metric has beside its name.
	isHelp        = regexp.MustCompile(`^[A-Z0-9].* .*\.$`)
	isConstructor = regexp.MustCompile(`^New(Desc|(Counter|Gauge|Histogram|Summary)(Vec|Func)?)$`)
)

// metricNames are those of both programs. A metric has its name beside its help, which is a
// sentence. The announcer's have no prefix there.
func metricNames(t *testing.T) []string {
	found := map[string]bool{}
	note := func(expressions []ast.Expr) {
		name := ""
		for _, e := range expressions {
			if pair, is := e.(*ast.KeyValueExpr); is {
				if key, is := pair.Key.(*ast.Ident); !is || key.Name != "Name" && key.Name != "Help" {
					continue
				}
				e = pair.Value
			}
			switch literal, _ := e.(*ast.BasicLit); {
			case literal == nil:
			case name == "" && isName.MatchString(text(literal)):
				name = text(literal)
			case name != "" && isHelp.MatchString(text(literal)):
				if !strings.HasPrefix(name, "clarion_") {
					name = "clarion_announcer_" + name
				}
				found[name] = true
			}
		}
	}
	inspect(t, func(file string, n ast.Node) {
		if !strings.HasSuffix(file, "/metrics.go") {
			if call, is := n.(*ast.CallExpr); is && isMetric(call) {
				t.Errorf("%s makes a metric: all of a package are to be in metrics.go", file)
			}
			return
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			note(n.Args)
		case *ast.CompositeLit:
			note(n.Elts)
		}
	})
	return slices.Collect(maps.Keys(found))
}

// metricLabels are those of all metrics.
func metricLabels(t *testing.T) []string {
	found := map[string]bool{}
	inspect(t, func(file string, n ast.Node) {
		if !strings.HasSuffix(file, "/metrics.go") {
			return
		}
		for _, e := range labelsIn(n) {
			if literal, is := e.(*ast.BasicLit); is && isName.MatchString(text(literal)) {
				found[text(literal)] = true
			}
		}
	})
	return slices.Collect(maps.Keys(found))
}

// labelsIn is where a node may have labels: they are a list of strings, the keys of constant labels,
// or arguments behind the help of a metric.
func labelsIn(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if _, is := n.Type.(*ast.ArrayType); is {
			return n.Elts
		}
		var keys []ast.Expr
		if of, is := n.Type.(*ast.SelectorExpr); is && of.Sel.Name == "Labels" {
			for _, e := range n.Elts {
				keys = append(keys, e.(*ast.KeyValueExpr).Key)
			}
		}
		return keys
	case *ast.CallExpr:
		for i, e := range n.Args {
			if literal, is := e.(*ast.BasicLit); is && isHelp.MatchString(text(literal)) {
				return n.Args[i+1:]
			}
		}
	}
	return nil
}

// isMetric says whether a call is of a constructor of a metric, of package prometheus or of
// Kubernetes' metrics.
func isMetric(call *ast.CallExpr) bool {
	function, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return false
	}
	from, is := function.X.(*ast.Ident)
	return is && (from.Name == "prometheus" || from.Name == "metrics") && isConstructor.MatchString(function.Sel.Name)
}
