package announce

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// wakeUp has the processes of a node go on that have not run for so long.
func (r *running) wakeUp(after time.Duration) { r.machine.suspended.Add(int64(after)) }

func TestANodeThatWasSuspendedSaysNothingUntilItKnowsWhatOthersHaveTakenOver(t *testing.T) {
	for name, apiAway := range map[string]bool{"with the API": false, "without the API": true} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
				n1, n2 := c.both()
				n2.connection.setReachable(!apiAway)
				c.powerOff(n1)
				c.after(5 * time.Second)
				c.expectOwners(vip, "n2")
				c.journal.take()

				n1.wakeUp(5 * time.Second)
				n1.station.setConnected(true, false)
				c.expectOwners(vip, "n2") // before anything else has happened
				c.gossip.setCut("n1", false)
				for range 100 {
					c.after(10 * time.Millisecond)
					c.expectOwners(vip, "n2")
				}
				c.expectInOrder("n1 answers for nothing")
				n1.connection.setReachable(true)
				n2.connection.setReachable(true)
				c.after(time.Minute)
				c.expectOwners(vip, "n2")
				if got := c.metric("n1", "clarion_announcer_pauses_total"); got != 1 {
					t.Errorf("%v pauses are counted", got)
				}
			})
		})
	}
}

// TestANodeThatWasSuspendedForAMomentHearsFirstWhetherOthersHaveTakenOver has the pause be so short that the node trusts what it knows.
func TestANodeThatWasSuspendedForAMomentHearsFirstWhetherOthersHaveTakenOver(t *testing.T) {
	for name, others := range map[string]bool{"without the API": true, "missed by nobody": false} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
				n1, n2 := c.both()
				c.start("n3")
				c.after(time.Minute)
				n1.connection.setReachable(false)
				n2.connection.setReachable(false)
				want := "n1"
				if others {
					c.powerOff(n1)
					c.after(220 * time.Millisecond)
					want = c.lan.owners(addr(vip))[0]
				}
				if others == (want == "n1") {
					t.Fatalf("%s has the address", want)
				}
				n1.wakeUp(220 * time.Millisecond)
				if !n1.pauses.Fit() {
					t.Error("it does not trust what it knows")
				}
				n1.station.setConnected(true, false)
				for range 50 {
					if owners := c.lan.owners(addr(vip)); len(owners) > 1 || len(owners) == 1 && owners[0] != want {
						t.Fatalf("%v answer, want %s", owners, want)
					}
					c.after(2 * time.Millisecond)
					c.gossip.setCut("n1", false)
				}
				c.after(time.Second)
				c.expectOwners(vip, want)
			})
		})
	}
}

func TestANodeThatWasSuspendedAndMissedByNobodyGoesOnAtOnce(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.start("n3")
		c.after(time.Minute)
		n1.connection.setReachable(false) // the API is not needed for it
		c.after(time.Minute)
		c.journal.take()
		n1.wakeUp(time.Second)
		if n1.pauses.Fit() {
			t.Error("it has not noticed")
		}
		synctest.Wait()
		c.after(time.Millisecond)
		c.expectOwners(vip, "n1")
		for _, line := range c.journal.take() {
			if line == "n1 answers for nothing" {
				t.Error("it has given everything up")
			}
		}
	})
}

// TestANodeThatWasSuspendedIsAnsweredByWhoIsStarting has another announcer start that still looks for a third one, which is off.
func TestANodeThatWasSuspendedIsAnsweredByWhoIsStarting(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		c.api.setAnnouncer(&v1alpha1.Announcer{}, "n3")
		c.service("web", vip)
		n1 := c.start("n1")
		c.after(time.Minute)
		n2 := c.start("n2")
		c.after(10 * time.Millisecond)
		n1.wakeUp(time.Second)
		if n1.pauses.Fit() {
			t.Error("it has not noticed")
		}
		c.after(10 * time.Millisecond)
		if n2.Ready() {
			t.Error("n2 has started before")
		}
		if !n1.pauses.Fit() {
			t.Error("it does not know what n2 has taken over")
		}
		c.expectOwners(vip, "n1")
	})
}

// TestANodeThatWasSuspendedWaitsForAnswersOfWhoIsBusy has all nodes share processors that are so busy that nobody hears anything for seconds.
func TestANodeThatWasSuspendedWaitsForAnswersOfWhoIsBusy(t *testing.T) {
	inCluster(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		c.start("n3")
		c.after(time.Minute)
		c.gossip.cutUnnoticed("n2") // everybody is late
		n1.wakeUp(time.Second)
		c.after(3 * time.Second)
		c.expectOwners(vip)
		c.gossip.setCut("n2", false)
		c.after(time.Second)
		c.expectOwners(vip, "n1")
		c.expectNotLogged(n1, `"msg"="No longer announcing an address"`)
	})
}

// TestTimeInWhichANodeDoesNotRunIsNoneInWhichOthersHaveToAnswer has a node stand still for a minute after each of its first questions.
func TestTimeInWhichANodeDoesNotRunIsNoneInWhichOthersHaveToAnswer(t *testing.T) {
	const stands = 10
	var q inquiry
	questions, now := 0, time.Unix(0, 0)
	for ; !q.failed; now = q.next {
		if questions < stands {
			now = now.Add(time.Minute)
		}
		if q.due(now, []string{"n2"}) {
			questions++
		}
		if q.due(now, []string{"n2"}) {
			t.Fatal("it asks twice at the same time")
		}
		if questions > 1000 {
			t.Fatal("it asks for ever")
		}
	}
	running := now.Sub(time.Unix(0, 0)) - stands*time.Minute
	if running < inquiryTimeout || running > inquiryTimeout+2*inquiryRepeatLater {
		t.Errorf("it has failed after %v in which it ran, and %d questions", running, questions)
	}
}

// TestWhoComesInSightHasItsOwnTimeToAnswer has one be out of sight for a moment, just before it is too late for it.
func TestWhoComesInSightHasItsOwnTimeToAnswer(t *testing.T) {
	var q inquiry
	now := time.Unix(0, 0)
	ask := func(until time.Duration, unanswered ...string) {
		t.Helper()
		for end := now.Add(until); now.Before(end) && !q.failed; now = q.next {
			q.due(now, unanswered)
		}
	}
	ask(inquiryTimeout-2*inquiryRepeatLater, "n2")
	ask(inquiryRepeatLater)
	began := now
	ask(2*inquiryTimeout, "n2")
	if waited := now.Sub(began); !q.failed || waited < inquiryTimeout {
		t.Errorf("it has failed: %v, after %v", q.failed, waited)
	}
}

func TestANodeThatWasSuspendedAndGetsNoAnswerAnnouncesNothingUntilItHasCaughtUp(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		n1, _ := c.both()
		n1.connection.setReachable(false)
		c.gossip.cutUnnoticed("n2")
		c.journal.take()
		n1.wakeUp(time.Second)
		c.after(inquiryTimeout + inquiryRepeatLater)
		c.expectOwners(vip)
		c.expectInOrder("n1 answers for nothing")
		c.expectLogged(n1, `"msg"="No longer announcing an address"`, `"why"="the node has not run for a while, and not all others have said`)
		c.expectLogged(n1, `"condition"="Ready"`, `"reason"="Isolated"`, `The node `)
		c.expectNotLogged(n1, `"reason"="NoInterface"`)
		c.gossip.setCut("n2", false)
		n1.connection.setReachable(true)
		c.after(time.Minute)
		if owners := c.lan.owners(addr(vip)); len(owners) != 1 {
			t.Errorf("%v answer in the end", owners)
		}
	})
}

// tellsClaim is how n1 tells n2 its claim on the vip, but for the version in which that is recorded.
const tellsClaim = `n1 tells n2 {"claims":[{"ip":"` + vip + `","epoch":1,"recorded":true,"version":`

func TestAMemberThatClaimsAnAddressOfAnothersIsToldWhoseItIs(t *testing.T) {
	inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		_, n2 := c.both()
		c.journal.take()
		for range 10 {
			c.lan.hostAnnounces(addr(vip), n2.station.mac)
			c.after(50 * time.Millisecond)
		}
		told := 0
		for _, line := range c.journal.take() {
			if strings.HasPrefix(line, tellsClaim) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("n2 was told %d times", told)
		}
		c.expectOwners(vip, "n1")
	})
}

func TestAMemberThatTellsAClaimWhichDoesNotHoldIsAnswered(t *testing.T) {
	claim := []plan.Takeover{{Address: addr(vip), Epoch: 1}}
	for name, m := range map[string]message{"a claim": {Claims: claim}, "a takeover": {Takeovers: claim}} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
				_, n2 := c.both()
				c.journal.take()
				n2.tell("n1", m)
				c.after(50 * time.Millisecond)
				lines := c.journal.take()
				told := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, tellsClaim) })
				if !told || !slices.Contains(lines, "n1 reannounces "+vip) { // the network has heard n2
					t.Errorf("there was %q", lines)
				}
				c.expectOwners(vip, "n1")
			})
		})
	}
}
