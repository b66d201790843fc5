package liblog

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// complain logs what client-go does, and returns which of its lines come out at a verbosity.
func complain(quiet func(context.Context) context.Context, verbosity int) (lines []string) {
	logger := funcr.NewJSON(func(line string) { lines = append(lines, line) }, funcr.Options{Verbosity: verbosity,
		RenderBuiltinsHook: func(kv []any) []any { return kv[len(kv)-2:] }})
	ctx := quiet(klog.NewContext(context.Background(), logger))
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no"))
	for name, say := range map[string]func(klog.Logger){
		"a line": func(l klog.Logger) { l.Info("a line") },
		"away": func(l klog.Logger) {
			l.WithName("x").WithValues("a", 1).Error(errors.New("connection refused"), "away")
		},
		"forbidden":   func(l klog.Logger) { l.Error(forbidden, "forbidden") },
		"no error":    func(l klog.Logger) { l.Error(nil, "no error") },
		"deeper line": func(l klog.Logger) { l.V(1).Info("deeper line") },
	} {
		before := len(lines)
		if say(klog.FromContext(ctx)); len(lines) > before {
			lines = append(lines[:before], name)
		}
	}
	slices.Sort(lines)
	return lines
}

func TestWhatTheLibrariesSayOfAnAPIServerThatIsAwayIsForThoseWhoAsk(t *testing.T) {
	for name, tt := range map[string]struct {
		quiet     func(context.Context) context.Context
		verbosity int
		want      []string
	}{
		"informers":            {Informers, 0, []string{"forbidden"}},
		"informers, --v=2":     {Informers, 2, []string{"a line", "away", "forbidden", "no error"}},
		"the election":         {Errors, 0, []string{"a line", "forbidden"}},
		"the election, --v=2":  {Errors, 2, []string{"a line", "away", "deeper line", "forbidden", "no error"}},
		"informers, and --v=3": {Informers, 3, []string{"a line", "away", "deeper line", "forbidden", "no error"}},
	} {
		if got := complain(tt.quiet, tt.verbosity); !slices.Equal(got, tt.want) {
			t.Errorf("%s: it logs %q, want %q", name, got, tt.want)
		}
	}
}
