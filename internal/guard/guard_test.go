package guard

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/klog/v2"
)

func fail(values []int) int { return values[len(values)] }

func TestWhatPanicsIsReturned(t *testing.T) {
	if p := Do("test", nil, func() {}); p != nil {
		t.Errorf("returned %v", p)
	}
	p := Do("test", nil, func() { fail(nil) })
	if p == nil || !strings.Contains(p.Error(), "index out of range") || !strings.Contains(p.Stack, "guard.fail") {
		t.Fatalf("returned %+v", p)
	}
	if !strings.HasPrefix(p.site, "github.com/clarionlb/clarion/internal/guard.fail:") {
		t.Errorf("it happened in %s", p.site)
	}
	if p := Do("test", nil, func() { panic(nil) }); p == nil {
		t.Error("a panic with nil is none")
	}
}

func TestAPanicIsPlantedWhereATestSays(t *testing.T) {
	defer Plant(func(kind string, object any) bool { return kind == "test" && object == "this" })()
	ran := false
	if p := Do("test", "this", func() { ran = true }); p == nil || !ran {
		t.Errorf("returned %v, and ran: %v", p, ran)
	}
	if p := Do("test", "that", func() {}); p != nil {
		t.Errorf("returned %v", p)
	}
}

func TestEveryPanicIsCountedAndItsPlaceLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		counts := map[string]int{}
		logger := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
		SetReporter(NewReporter(func() klog.Logger { return logger }, func(c string) { counts[c]++ }))
		defer SetReporter(NewReporter(klog.Background, func(string) {}))
		for range 100 {
			Run("plan", "default/web", func() { fail(nil) })
		}
		Run("plan", "default/web", func() { panic("elsewhere") })
		Run("plan", "default/web", func() {})
		if counts["plan"] != 101 || len(lines) != 2 {
			t.Errorf("counted %v, and logged %d lines", counts, len(lines))
		}
		if !strings.Contains(lines[0], "default/web") || !strings.Contains(lines[0], "guard.fail") {
			t.Errorf("logged %s", lines[0])
		}
		time.Sleep(stackInterval)
		if Run("plan", "", func() { fail(nil) }); len(lines) != 3 {
			t.Errorf("logged %d lines after a minute", len(lines))
		}
	})
}
