package kube

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

func TestAFewChangesAreToldAtOnceAndManyTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, applied := newSubscription(), 0
		change := func() { s.noteState(func(*plan.View) { applied++ }) }
		for range changeBurst {
			change()
			select {
			case <-s.Changed():
				s.Apply(nil)
			default:
				t.Fatalf("change %d is not told at once", applied+1)
			}
		}
		began := time.Now()
		for range 1000 {
			change()
		}
		<-s.Changed()
		s.Apply(nil)
		if took, want := time.Since(began), time.Second/changeRate; applied != changeBurst+1000 || took != want {
			t.Errorf("%d changes are applied, the last after %s, want %s", applied, took, want)
		}
		time.Sleep(changeBurst * time.Second / changeRate)
		change()
		began = time.Now()
		if <-s.Changed(); time.Since(began) > 0 {
			t.Errorf("a change after calm is told after %s", time.Since(began))
		}
	})
}
