package liveness

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// lossy is a neighbourhood in which three of four questions, or their answers, are lost: half of the packets, each way.
type lossy struct {
	*neighbourhood
	random *rand.Rand
}

func (l *lossy) answered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.IntN(4) == 0
}

func (l *lossy) Ask(ctx context.Context, q layer2.Question) (a layer2.Answer, answered bool, err error) {
	for try := 1; try <= q.Tries; try++ {
		one := q
		if one.Tries, one.Wait, one.Unanswered = 1, q.Interval, nil; try == q.Tries {
			one.Wait = q.Wait
		}
		if l.answered() {
			if a, answered, err = l.neighbourhood.Ask(ctx, one); answered || err != nil {
				return a, answered, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return layer2.Answer{}, false, ctx.Err()
		case <-time.After(one.Wait):
		}
	}
	if q.Unanswered != nil {
		q.Unanswered(ctx)
	}
	return layer2.Answer{}, false, nil
}

func TestANodeIsNeverDeadNorThisOneIsolatedBecauseHalfOfThePacketsAreLost(t *testing.T) {
	const node, peer, vip = "192.168.10.11", "192.168.10.12", "192.168.10.222"
	ask := func(ip string) plan.Question {
		return plan.Question{Address: netip.MustParseAddr(ip), Interface: "eth0", MAC: "02:00:00:00:00:01"}
	}
	for name, tt := range map[string]struct {
		target plan.ProbeTarget
		quorum Quorum
		router bool
	}{
		"in sight, and its heartbeats have stopped": {
			plan.ProbeTarget{Name: "n1", Node: ask(node), InSight: true, Silent: true}, Quorum{Expected: 3, InGossip: []plan.Question{ask(node), ask(peer)}}, true,
		},
		"out of sight": {
			plan.ProbeTarget{Name: "n1", Node: ask(node), Announced: ask(vip)}, Quorum{Expected: 3, InGossip: []plan.Question{ask(peer)}}, true,
		},
		"out of sight of one without a router": {
			plan.ProbeTarget{Name: "n1", Node: ask(node), Announced: ask(vip)}, Quorum{Expected: 3, InGossip: []plan.Question{ask(peer)}}, false,
		},
		"one whose node cannot be asked": {
			plan.ProbeTarget{Name: "n1", Announced: ask(vip)}, Quorum{Expected: 3, InGossip: []plan.Question{{}}}, true,
		},
		"all out of sight": {
			plan.ProbeTarget{Name: "n1", Node: ask(node), Announced: ask(vip)}, Quorum{Expected: 3, OutOfGossip: []plan.Question{ask(node), ask(peer)}}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &lossy{&neighbourhood{answers: map[netip.Addr]layer2.Answer{}}, rand.New(rand.NewPCG(16, 1))}
				for _, ip := range []string{node, peer, vip} {
					lan.set(ip, true)
				}
				router := func(context.Context) bool {
					time.Sleep(90 * time.Millisecond)
					return tt.router && lan.answered()
				}
				d := NewDetector(lan, router, func(context.Context) bool { return false }, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				d.Update(ctx, []plan.ProbeTarget{tt.target}, tt.quorum)
				for end := time.Now().Add(time.Hour); time.Now().Before(end); {
					time.Sleep(50 * time.Millisecond)
					states, isolated := d.Update(ctx, []plan.ProbeTarget{tt.target}, tt.quorum)
					if states["n1"] == plan.Dead || isolated {
						t.Errorf("it is %s, this one isolated %t", states["n1"], isolated)
						return
					}
				}
			})
		})
	}
}

func TestSilenceIsNotWhatIsLost(t *testing.T) {
	withSilence(t, Quorum{Expected: 3, InGossip: asking("192.168.10.12")}, func(ctx context.Context, lan *neighbourhood, s *Silence) {
		lan.set("192.168.10.11", true)
		s.detector.prober = &lossy{lan, rand.New(rand.NewPCG(16, 2))}
		node := map[string][]plan.Question{"n1": asking("192.168.10.11")}
		for range 60 * 60 {
			if quiet, _ := s.Update(ctx, node); len(quiet) > 0 {
				t.Error("it is silent")
				return
			}
			time.Sleep(time.Second)
		}
	})
}

func TestQuestionsAboutManyNodesTakeLongerAndAreNotMore(t *testing.T) {
	for silent, most := range map[int]time.Duration{1: 100 * time.Millisecond, 4: 250 * time.Millisecond, 40: 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
			yes := func(context.Context) bool { return true }
			d := NewDetector(lan, yes, yes, klog.Logger{})
			ctx, cancel := context.WithCancel(t.Context())
			defer d.Wait()
			defer cancel()
			quorum := Quorum{Expected: 200, InGossip: make([]plan.Question, 199-silent)}
			var targets []plan.ProbeTarget
			for i := range silent {
				ip := netip.AddrFrom4([4]byte{192, 168, 10, byte(i)})
				targets = append(targets, plan.ProbeTarget{Name: ip.String(), Node: plan.Question{Address: ip, Interface: "eth0"}})
			}
			began := time.Now()
			for {
				states, _ := d.Update(ctx, targets, quorum)
				if states[targets[silent-1].Name] == plan.Dead {
					break
				}
				<-d.Changed()
			}
			took := time.Since(began)
			packets := 0
			for _, q := range lan.take() {
				packets += q.Tries
			}
			askers := 200 - silent
			if silent == 1 {
				askers = heirs
			}
			if rate := float64(packets*askers) / took.Seconds() / 1000; took > most || rate > 420 {
				t.Errorf("%d nodes were asked for in %s, with %.0f questions in a millisecond", silent, took, rate)
			}
		})
	}
}
