package liveness

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

func asking(addresses ...string) (questions []plan.Question) {
	for _, address := range addresses {
		questions = append(questions, plan.Question{Address: netip.MustParseAddr(address), Interface: "eth0"})
	}
	return questions
}

// withSilence runs a test with a Silence of a node that hears one of two others, on a LAN where that one answers.
func withSilence(t *testing.T, quorum Quorum, test func(ctx context.Context, lan *neighbourhood, s *Silence)) {
	synctest.Test(t, func(t *testing.T) {
		lan := &neighbourhood{answers: map[netip.Addr]layer2.Answer{}}
		lan.set("192.168.10.12", true)
		d := NewDetector(lan, func(context.Context) bool { return true }, func(context.Context) bool { return true }, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		defer d.Wait()
		s := NewSilence(d)
		defer s.Wait()
		defer cancel()
		d.Update(ctx, nil, quorum)
		test(ctx, lan, s)
	})
}

func TestWhichNodesAreSilent(t *testing.T) {
	most := Quorum{Expected: 3, InGossip: asking("192.168.10.12")}
	const v4, v6 = "192.168.10.11", "fd00:10::11"
	for _, tt := range []struct {
		name      string
		questions []plan.Question
		quorum    Quorum
		lan       func(n *neighbourhood)
		after     time.Duration
		want      string
	}{
		{"at first nothing is known", asking(v4), most, func(*neighbourhood) {}, 0, "[] [n1]"},
		{"one of which no address answers is", asking(v4, v6), most, func(*neighbourhood) {}, 100 * time.Millisecond, "[n1] []"},
		{"one of which one address answers is not", asking(v4, v6), most, func(n *neighbourhood) { n.set(v6, true) }, time.Minute, "[] []"},
		{"one that cannot be asked may be anything", nil, most, func(*neighbourhood) {}, time.Minute, "[] [n1]"},
		{"so may one of which an address cannot be asked", asking(v4), most, func(n *neighbourhood) { n.fails = true }, time.Minute, "[] [n1]"},
		{"a minority says nothing, though it sees a router", asking(v4), Quorum{Expected: 2}, func(*neighbourhood) {}, time.Minute, "[] [n1]"},
		{"nor does one whose majority is silent too", asking(v4), most, func(n *neighbourhood) { n.set("192.168.10.12", false) }, time.Minute, "[] [n1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withSilence(t, tt.quorum, func(ctx context.Context, lan *neighbourhood, s *Silence) {
				tt.lan(lan)
				s.Update(ctx, map[string][]plan.Question{"n1": tt.questions})
				time.Sleep(tt.after)
				synctest.Wait()
				quiet, unknown := s.Update(ctx, map[string][]plan.Question{"n1": tt.questions})
				if got := fmt.Sprint(quiet, unknown); got != tt.want {
					t.Errorf("silent and unknown are %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestWhoWasCutOffTakesNobodyForSilent(t *testing.T) {
	quorum := Quorum{Expected: 3, InGossip: asking("192.168.10.11", "192.168.10.12")}
	n1 := map[string][]plan.Question{"n1": asking("192.168.10.11")}
	untilHeard(t, quorum, func(ctx context.Context, _ *Detector, s *Silence) bool {
		quiet, _ := s.Update(ctx, n1)
		return len(quiet) > 0
	})
}

func TestSilenceFollowsANodeThatAnswersAgain(t *testing.T) {
	most := Quorum{Expected: 3, InGossip: asking("192.168.10.12")}
	withSilence(t, most, func(ctx context.Context, lan *neighbourhood, s *Silence) {
		n1 := map[string][]plan.Question{"n1": asking("192.168.10.11")}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			quiet, unknown := s.Update(ctx, n1)
			if got := fmt.Sprint(quiet, unknown); got != want {
				t.Errorf("silent and unknown are %s, want %s", got, want)
			}
		}
		expect("[] [n1]")
		<-s.Changed()
		expect("[n1] []")
		lan.set("192.168.10.11", true)
		began := time.Now()
		<-s.Changed()
		if took := time.Since(began); took > time.Second {
			t.Errorf("that it answers was noticed after %s", took)
		}
		expect("[] []")
		lan.set("192.168.10.11", false)
		<-s.Changed()
		expect("[n1] []")
		s.Update(ctx, nil) // it is in sight again
		expect("[] [n1]")
	})
}

func TestANodeThatStaysSilentIsAskedForLessAndLess(t *testing.T) {
	most := Quorum{Expected: 3, InGossip: asking("192.168.10.12")}
	withSilence(t, most, func(ctx context.Context, lan *neighbourhood, s *Silence) {
		s.Update(ctx, map[string][]plan.Question{"n1": asking("192.168.10.11")})
		time.Sleep(time.Minute)
		lan.take()
		time.Sleep(time.Hour)
		if asked := len(lan.take()); asked > 2*120 { // the node, and one that answers
			t.Errorf("%d questions in an hour", asked)
		}
	})
}
