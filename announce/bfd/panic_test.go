package bfd

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/internal/guard"
)

func TestASessionThatPanicsIsNoneOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, left, right := pair(t)
		left.Set(map[string]Session{"bad": fast(right6), "good": fast(right4)})
		right.Set(map[string]Session{"six": fast(left6), "four": fast(left4)})
		time.Sleep(10 * time.Second)
		heal := guard.Plant(func(kind string, object any) bool { return kind == "bfd" && object == "bad" })
		defer heal()
		time.Sleep(10 * time.Second)
		for _, s := range left.Sessions() {
			if s.Name == "good" && s.State != Up || s.Name == "bad" && (s.State == Up || s.Err == nil) {
				t.Errorf("%+v", s)
			}
		}
		heal()
		left.Set(map[string]Session{"bad": fast(right6), "good": fast(right4)})
		time.Sleep(10 * time.Second)
		for _, s := range left.Sessions() {
			if s.State != Up || s.Err != nil {
				t.Errorf("after the fault: %+v", s)
			}
		}
	})
}
