package liveness

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// A node that has all addresses has nobody to ask about, and nobody it could do harm to but itself.
func TestANodeWithNobodyToAskAboutFindsOutThatItIsIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gateway, api atomic.Bool
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		d := NewDetector(lan, func(context.Context) bool { return gateway.Load() }, func(context.Context) bool { return api.Load() }, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		few, most := Quorum{Expected: 3}, Quorum{Expected: 3, InGossip: asking("192.168.10.12")}
		quorum := few
		var suspects []plan.ProbeTarget
		expect := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			if _, got := d.Update(ctx, suspects, quorum); got != want {
				t.Errorf("%s: isolated %t", when, got)
			}
		}
		check := func() { time.Sleep(isolationPause + 100*time.Millisecond) }
		expect("at once", false)
		check()
		expect("it reaches nobody", true)
		check()
		expect("and goes on", true)
		api.Store(true)
		check()
		expect("it reaches the API server", false)
		api.Store(false)
		check()
		expect("it does no more", true)
		gateway.Store(true)
		check()
		expect("a router answers", false)
		gateway.Store(false)
		quorum = most
		expect("the gossip sees a majority", false)
		time.Sleep(3 * isolationPause)
		expect("and goes on", false)
		if asked := lan.take(); len(asked) > 0 {
			t.Errorf("asked %v while there is a majority", asked)
		}
		quorum = few
		expect("lost again", false)
		check()
		expect("lost for a while", true)
	})
}

func TestWhoHasSomebodyToAskAboutChecksNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		lan.set("192.168.10.1", true)
		way := func(context.Context) bool { asked.Add(1); return false }
		d := NewDetector(lan, way, way, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		d.Update(ctx, []plan.ProbeTarget{member(1)}, Quorum{Expected: 3})
		time.Sleep(time.Second)
		synctest.Wait()
		before := asked.Load()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if asked.Load() != before {
			t.Error("ways out are checked beside a suspect whose node answers")
		}
		if _, isolated := d.Update(ctx, []plan.ProbeTarget{member(1)}, Quorum{Expected: 3}); isolated {
			t.Error("isolated, and a node answers")
		}
	})
}
