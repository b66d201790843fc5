package lastgood

import (
	"errors"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

func TestTheLastGoodVersionStaysInForce(t *testing.T) {
	spec := func(text string) *string { return &text }
	for name, tt := range map[string]struct {
		object Object[string]
		spec   string // "" for none
		value  int
		wrong  bool
	}{
		"a good one, whatever was before":          {Object[string]{Spec: spec("3"), Applied: spec("1"), Remembered: spec("2")}, "3", 3, false},
		"a bad one that nobody has judged":         {Object[string]{Spec: spec("x"), Applied: spec("1"), Remembered: spec("2")}, "2", 2, true},
		"a bad one that is judged":                 {Object[string]{Spec: spec("x"), Applied: spec("1"), Remembered: spec("2"), Judged: true}, "1", 1, true},
		"a bad one in a new process":               {Object[string]{Spec: spec("x"), Applied: spec("1")}, "1", 1, true},
		"a bad one that is judged and not applied": {Object[string]{Spec: spec("x"), Remembered: spec("2"), Judged: true}, "2", 2, true},
		"what this version cannot read any more":   {Object[string]{Spec: spec("x"), Applied: spec("y"), Remembered: spec("2"), Judged: true}, "2", 2, true},
		"one that was never good":                  {Object[string]{Spec: spec("x")}, "", 0, true},
	} {
		got := Choose(tt.object, func(s *string) (int, error) { return strconv.Atoi(*s) })
		chosen := ""
		if got.Spec != nil {
			chosen = *got.Spec
		}
		if chosen != tt.spec || got.Value != tt.value || (got.Wrong != nil) != tt.wrong {
			t.Errorf("%s: got %q, %d, %v", name, chosen, got.Value, got.Wrong)
		}
	}
}

func TestOfOneThatWasNeverGoodWhatCanBeReadIsKept(t *testing.T) {
	text := "12x"
	got := Choose(Object[string]{Spec: &text}, func(s *string) (string, error) { return (*s)[:2], strconv.ErrSyntax })
	if got.Spec != nil || got.Value != "12" {
		t.Errorf("got %v", got)
	}
}

func TestWhichVersionIsJudged(t *testing.T) {
	conditions := []metav1.Condition{{Type: v1alpha1.ConditionReady, ObservedGeneration: 2}}
	if Judged(nil, 2) || Judged(conditions, 3) || !Judged(conditions, 2) {
		t.Error("a version is judged if the Ready condition is about it")
	}
}

func TestASpecOnWhichReadingPanicsIsWrong(t *testing.T) {
	bad, good := "bad", "1"
	got := Choose(Object[string]{Spec: &bad, Remembered: &good}, func(s *string) (int, error) {
		if *s == bad {
			panic("odd")
		}
		return strconv.Atoi(*s)
	})
	var failed *guard.Panic
	if got.Spec != &good || got.Value != 1 || !errors.As(got.Wrong, &failed) {
		t.Errorf("got %+v", got)
	}
}
