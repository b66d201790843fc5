package liveness

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

func TestWhatBecameOfAMemberInSightWhoseHeartbeatsDoNotArrive(t *testing.T) {
	const node, peer = "192.168.10.11", "192.168.10.12"
	ask := func(ip string) plan.Question {
		return plan.Question{Address: netip.MustParseAddr(ip), Interface: "eth0", MAC: "02:00:00:00:00:01"}
	}
	member := plan.ProbeTarget{Name: "n1", Node: ask(node), InSight: true}
	far := plan.ProbeTarget{Name: "n1", InSight: true}
	most, few := Quorum{Expected: 3, InGossip: []plan.Question{ask(node), ask(peer)}}, Quorum{Expected: 2, InGossip: []plan.Question{ask(node)}}
	unreported := plan.MemberState(-1)
	const never = time.Hour
	for _, tt := range []struct {
		name   string
		target plan.ProbeTarget
		quorum Quorum
		router bool
		// answers is until when its node does. silent is when its heartbeats count as stopped, and
		// lost when the gossip has noticed.
		answers, silent, lost time.Duration
		after                 time.Duration
		want                  plan.MemberState
	}{
		{"late, and its node answers", member, most, true, never, never, never, time.Minute, unreported},
		{"late, and its node does not answer", member, most, true, 0, never, never, time.Minute, unreported},
		{"silent, and its node answers", member, most, true, never, 0, never, time.Minute, plan.Suspect},
		{"its announcer stops, and the gossip notices", member, most, true, never, 90 * time.Millisecond, 300 * time.Millisecond, time.Second, plan.AnnouncerDown},
		{"silent at once, but it is asked three times", member, most, true, 0, 0, never, 85 * time.Millisecond, plan.Suspect},
		{"silent at once, and asked three times", member, most, true, 0, 0, never, 91 * time.Millisecond, plan.Dead},
		{"silent when it has been asked three times", member, most, true, 0, 89 * time.Millisecond, never, 91 * time.Millisecond, plan.Dead},
		{"silent a little after that", member, most, true, 0, 100 * time.Millisecond, never, 101 * time.Millisecond, plan.Dead},
		{"silent long after that is asked for anew", member, most, true, 0, 200 * time.Millisecond, never, 600 * time.Millisecond, plan.Dead},
		{"its node dies after it has answered", member, most, true, 100 * time.Millisecond, 0, never, time.Second, plan.Dead},
		{"one that sees a router may say so too", member, few, true, 0, 0, never, 200 * time.Millisecond, plan.Dead},
		{"one that sees nobody else may not", member, few, false, 0, 0, never, time.Minute, plan.Suspect},
		{"whoever cannot be asked is left to the gossip", far, most, true, 0, 0, never, time.Minute, plan.Suspect},
		{"as it says", far, most, true, 0, 0, 200 * time.Millisecond, time.Second, plan.Dead},
		{"the gossip is first", member, most, true, 0, never, 10 * time.Millisecond, 200 * time.Millisecond, plan.Dead},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
				lan.set(peer, true)
				lan.set(node, tt.answers > 0)
				d := NewDetector(lan, func(context.Context) bool { return tt.router }, func(context.Context) bool { return false }, klog.Logger{})
				ctx, cancel := context.WithCancel(t.Context())
				defer d.Wait()
				defer cancel()
				isolated := false
				states := map[string]plan.MemberState{}
				for began := time.Now(); time.Since(began) <= tt.after; time.Sleep(time.Millisecond) {
					now := time.Since(began)
					if now == tt.answers {
						lan.set(node, false)
					}
					tt.target.Silent, tt.target.InSight = now >= tt.silent, now < tt.lost
					states, isolated = d.Update(ctx, []plan.ProbeTarget{tt.target}, tt.quorum)
					synctest.Wait()
				}
				got, reported := states["n1"]
				if !reported {
					got = unreported
				}
				if got != tt.want || isolated {
					t.Errorf("found %d, isolated %t; want %d", got, isolated, tt.want)
				}
			})
		})
	}
}

// cutOff is a network that this node is cut off from until a moment. Then all hosts on it answer each packet.
type cutOff struct{ until time.Time }

func (c cutOff) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	for range q.Tries - 1 {
		if c.over() {
			return layer2.Answer{}, true, nil
		}
		time.Sleep(q.Interval)
	}
	over := c.over()
	if !over {
		time.Sleep(q.Wait)
		if q.Unanswered != nil {
			q.Unanswered(ctx)
		}
	}
	return layer2.Answer{}, over, ctx.Err()
}

func (c cutOff) over() bool { return !time.Now().Before(c.until) }

// unread is a network on which all hosts answer at once. This process reads what has arrived now and then: in moments that are so far
// apart, counted from a first one.
type unread struct {
	first time.Time
	every time.Duration
}

func (u unread) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	since := time.Since(u.first)
	read := time.After((since/u.every+1)*u.every - since)
	select {
	case <-ctx.Done():
		return layer2.Answer{}, false, ctx.Err()
	case <-read:
		return layer2.Answer{}, true, nil
	case <-time.After(takes(q)):
	}
	if q.Unanswered != nil {
		q.Unanswered(ctx)
	}
	select {
	case <-read:
		return layer2.Answer{}, true, nil
	default:
		return layer2.Answer{}, false, ctx.Err()
	}
}

// spoilt are networks on which a node that asks from now on hears nobody for some milliseconds, though all answer.
var spoilt = map[string]func(duration time.Duration) Prober{
	"it is cut off":         func(duration time.Duration) Prober { return cutOff{time.Now().Add(duration)} },
	"it reads now and then": func(duration time.Duration) Prober { return unread{time.Now(), duration + 1} },
}

// untilHeard has a node ask for a second on spoilt networks, and fails the test if judge says that it found something in any millisecond
// of that. It does so for an end in every millisecond of the questions.
func untilHeard(t *testing.T, quorum Quorum, judge func(ctx context.Context, d *Detector, s *Silence) (found bool)) {
	for name, lan := range spoilt {
		t.Run(name, func(t *testing.T) { untilHeardOn(t, lan, quorum, judge) })
	}
}

func untilHeardOn(
	t *testing.T, lan func(time.Duration) Prober, quorum Quorum, judge func(ctx context.Context, d *Detector, s *Silence) (found bool),
) {
	for end := range 300 {
		synctest.Test(t, func(t *testing.T) {
			lan := lan(time.Duration(end) * time.Millisecond)
			d := NewDetector(lan, func(context.Context) bool { return false }, func(context.Context) bool { return true }, klog.Logger{})
			ctx, cancel := context.WithCancel(t.Context())
			s := NewSilence(d)
			defer d.Wait()
			defer s.Wait()
			defer cancel()
			d.Update(ctx, nil, quorum)
			for range 1000 {
				if judge(ctx, d, s) {
					t.Fatalf("spoilt for %d ms, it takes a node for dead or silent that answers", end)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestWhoDidNotHearTakesNobodyForDead(t *testing.T) {
	questions := asking("192.168.10.11", "192.168.10.12")
	target := plan.ProbeTarget{Name: "n1", Node: questions[0], InSight: true, Silent: true}
	quorum := Quorum{Expected: 3, InGossip: questions}
	untilHeard(t, quorum, func(ctx context.Context, d *Detector, _ *Silence) bool {
		states, _ := d.Update(ctx, []plan.ProbeTarget{target}, quorum)
		return states["n1"] == plan.Dead
	})
}

func TestWhoDidNotHearTakesNobodyOutOfSightForDead(t *testing.T) {
	questions := asking("192.168.10.11", "192.168.10.12", "192.168.10.13")
	for name, target := range map[string]plan.ProbeTarget{
		"its node is asked":          {Name: "n1", Node: questions[0], Announced: questions[1]},
		"its announcer alone can be": {Name: "n1", Announced: questions[1]},
	} {
		t.Run(name, func(t *testing.T) {
			quorum := Quorum{Expected: 3, InGossip: questions[2:]}
			untilHeard(t, quorum, func(ctx context.Context, d *Detector, _ *Silence) bool {
				states, _ := d.Update(ctx, []plan.ProbeTarget{target}, quorum)
				return states["n1"] == plan.Dead
			})
		})
	}
}

func TestAMemberThatIsHeardAgainIsInvestigatedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		d := NewDetector(lan, func(context.Context) bool { return true }, func(context.Context) bool { return true }, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		target := plan.ProbeTarget{Name: "n1", Node: plan.Question{Address: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}, InSight: true, Silent: true}
		update := func() map[string]plan.MemberState {
			states, _ := d.Update(ctx, []plan.ProbeTarget{target}, Quorum{Expected: 2})
			synctest.Wait()
			return states
		}
		update()
		time.Sleep(100 * time.Millisecond)
		if states := update(); states["n1"] != plan.Dead {
			t.Fatalf("found %v", states)
		}
		target.Silent = false
		if states := update(); len(states) > 0 {
			t.Errorf("it is heard again, and found %v", states)
		}
		target.Silent = true
		if states := update(); states["n1"] != plan.Suspect {
			t.Errorf("it is silent again, and found %v at once", states)
		}
		d.Update(ctx, nil, Quorum{Expected: 2})
		synctest.Wait()
		lan.take()
		time.Sleep(time.Minute)
		if asked := lan.take(); len(asked) > 0 {
			t.Errorf("%d questions about nobody", len(asked))
		}
	})
}

func TestALateMemberThatAnswersCostsOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		lan.set("192.168.10.11", true)
		d := NewDetector(lan, func(context.Context) bool { return true }, func(context.Context) bool { return true }, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		defer cancel()
		question := plan.Question{Address: netip.MustParseAddr("192.168.10.11"), Interface: "eth0", MAC: "02:00:00:00:00:01"}
		d.Update(ctx, []plan.ProbeTarget{{Name: "n1", Node: question, InSight: true}}, Quorum{Expected: 3, InGossip: []plan.Question{question, question}})
		time.Sleep(time.Second)
		asked := lan.take()
		for _, q := range asked {
			if q.Broadcast > 0 {
				t.Errorf("asked %+v", q)
			}
		}
		if len(asked) == 0 || len(asked) > 8 {
			t.Errorf("%d questions in a second", len(asked))
		}
	})
}

func TestANodeThatIsShutDownAfterItsAnnouncerHasLeftIsSoonDead(t *testing.T) {
	for _, up := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second, 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
			lan.set("192.168.10.11", true)
			d := NewDetector(lan, func(context.Context) bool { return true }, func(context.Context) bool { return true }, klog.Logger{})
			ctx, cancel := context.WithCancel(t.Context())
			defer d.Wait()
			defer cancel()
			target := plan.ProbeTarget{Name: "n1", Left: true, Node: plan.Question{Address: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}}
			state := func() plan.MemberState {
				states, _ := d.Update(ctx, []plan.ProbeTarget{target}, Quorum{Expected: 2})
				return states["n1"]
			}
			state()
			time.Sleep(up)
			if got := state(); got != plan.AnnouncerDown {
				t.Errorf("up for %s, found %s", up, got)
			}
			lan.set("192.168.10.11", false)
			// A pause of at most 190 ms, and three questions twice: in between, this node finds out
			// whether it may judge.
			time.Sleep(370 * time.Millisecond)
			if got := state(); got != plan.Dead {
				t.Errorf("shut down after %s, found %s", up, got)
			}
		})
	}
}
