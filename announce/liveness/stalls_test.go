package liveness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// stall is a time in which the process of the Detector does not run.
type stall struct{ from, to time.Time }

// stalling asks as a process does that does not run now and then: what it waits for comes when it runs again, and what was answered
// meanwhile is lost.
type stalling struct {
	*neighbourhood
	stalls []stall
}

func (s *stalling) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	began := time.Now()
	a, answered, err := s.neighbourhood.Ask(ctx, q)
	for _, stall := range s.stalls {
		if ended := time.Now(); began.Before(stall.to) && ended.After(stall.from) {
			if wait := stall.to.Sub(ended); wait > 0 {
				time.Sleep(wait)
			}
			if answered { // the answer was there before this process ran again
				return a, answered, err
			}
		}
	}
	return a, answered, err
}

// ran is for how long the process has run since some moment, and how many rounds of questions it may have begun: each stall may have
// spoilt one.
func (s *stalling) ran(since time.Time) (ran time.Duration, rounds int) {
	ran, rounds = time.Since(since), 1
	for _, stall := range s.stalls {
		from, to := stall.from, stall.to
		if from.Before(since) {
			from = since
		}
		if now := time.Now(); to.After(now) {
			to = now
		}
		if stalled := to.Sub(from); stalled > 0 {
			ran -= stalled
			rounds++
			since = to
		}
	}
	return ran, rounds
}

// TestADeathIsFoundByOneRoundAfterTheProcessRunsAgain lets the process stall at random around the death of a member.
func TestADeathIsFoundByOneRoundAfterTheProcessRunsAgain(t *testing.T) {
	const node, peer = "192.168.10.11", "192.168.10.12"
	ask := func(ip string) plan.Question {
		return plan.Question{Address: netip.MustParseAddr(ip), Interface: "eth0", MAC: "02:00:00:00:00:01"}
	}
	const silent = 150 * time.Millisecond
	for seed := range uint64(500) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random, began := rand.New(rand.NewPCG(seed, seed)), time.Now()
				late := time.Duration(62+random.IntN(89)) * time.Millisecond
				lan := &stalling{neighbourhood: &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}}
				for range 1 + random.IntN(3) {
					from := began.Add(time.Duration(random.IntN(600)) * time.Millisecond)
					to := from.Add(time.Duration(20+random.IntN(230)) * time.Millisecond)
					lan.stalls = append(lan.stalls, stall{from, to})
				}
				slices.SortFunc(lan.stalls, func(a, b stall) int { return a.from.Compare(b.from) })
				lan.set(peer, true)
				d := NewDetector(lan, func(context.Context) bool { return false }, func(context.Context) bool { return false }, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				member := plan.ProbeTarget{Name: "n1", Node: ask(node), InSight: true}
				for {
					now := time.Since(began)
					member.Silent = now >= silent
					var suspects []plan.ProbeTarget
					if now >= late {
						suspects = append(suspects, member)
					}
					states, _ := d.Update(ctx, suspects, Quorum{Expected: 3, InGossip: []plan.Question{ask(node), ask(peer)}})
					if state, judged := states["n1"]; judged && state == plan.Dead {
						break
					}
					if ran, rounds := lan.ran(began.Add(silent)); ran > time.Duration(rounds)*95*time.Millisecond {
						t.Fatalf("found nothing in the %s that the process has run since then; it stalled %v", ran, lan.stalls)
					}
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
			})
		})
	}
}
