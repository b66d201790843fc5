package announce

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

var quiet = klog.Logger{}

func TestWhatIsKnownOfOthersThatClaimAnAddressIsForgottenAfterAMinute(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := contentions{}
	c.of(addr(vip), now).packets = 3
	c.expire(now.Add(contentionInterval - 1))
	if got := c.of(addr(vip), now).packets; got != 3 {
		t.Errorf("before, %d packets are known", got)
	}
	c.expire(now.Add(contentionInterval))
	if len(c) > 0 {
		t.Error("it is known for longer")
	}
}

func TestSomethingIsDueWhenItsIntervalIsOver(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var last time.Time
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {time.Second - 1, false}, {time.Second, true}, {time.Second + 1, false}, {2 * time.Second, true}} {
		if got := due(&last, time.Second, now.Add(tt.after)); got != tt.want {
			t.Errorf("after %s: due %t", tt.after, got)
		}
	}
}

func TestWhatAPlanFailedOnIsSaidInFewWords(t *testing.T) {
	failures := func(n int) (all []plan.Failure) {
		for i := range n {
			all = append(all, plan.Failure{Object: fmt.Sprint("BGPPeer p", i), Panic: &guard.Panic{}})
		}
		return all
	}
	for n, want := range map[int]string{
		1: "deciding about BGPPeer p0:",
		5: "BGPPeer p3, BGPPeer p4:",
		6: "BGPPeer p3, BGPPeer p4 and 1 more:",
		9: "BGPPeer p4 and 4 more:",
	} {
		var s status
		s.setFailures(failures(n))
		if !strings.Contains(s.failures, want) || !s.changed {
			t.Errorf("of %d it says %q, changed %t", n, s.failures, s.changed)
		}
	}
}

func TestAStatusIsWrittenWhenItSaysSomethingElse(t *testing.T) {
	for name, set := range map[string]func(s *status, failed bool){
		"what the kernel does not do": func(s *status, failed bool) {
			if failed {
				s.setKernelProblems("The kernel refuses.")
			} else {
				s.setKernelProblems("")
			}
		},
		"what the plan failed on": func(s *status, failed bool) {
			if failed {
				s.setFailures([]plan.Failure{{Object: "BGPPeer p"}})
			} else {
				s.setFailures(nil)
			}
		},
	} {
		var s status
		for i, tt := range []struct{ failed, want bool }{{false, false}, {true, true}, {true, false}, {false, true}, {false, false}} {
			s.changed = false
			if set(&s, tt.failed); s.changed != tt.want {
				t.Errorf("%s, %d: changed %t", name, i, s.changed)
			}
		}
		s.changed = true
		if set(&s, false); !s.changed {
			t.Errorf("%s: what was to be written is forgotten", name)
		}
	}
}

func TestHardwareAddressesOfMembersAreThoseThatCanBeRead(t *testing.T) {
	got := parseMACs(map[string]string{"02:00:00:00:00:01": "n1", "nonsense": "n2", "": "n3"})
	if want := []net.HardwareAddr{{2, 0, 0, 0, 0, 1}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
}

// listening are members that hear what they are told.
type listening struct {
	stillMembers
	peers, nodes int
	told         map[string][]message
}

func (l *listening) SetPeers(map[string]netip.Addr) { l.peers++ }
func (l *listening) SetNodes([]netip.Addr)          { l.nodes++ }
func (l *listening) Broadcast(text []byte)          { l.Tell("all", text) }

func (l *listening) Tell(name string, text []byte) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		panic(err)
	}
	l.told[name] = append(l.told[name], m)
}

// listen has the members of a still cluster hear.
func (c *still) listen() *listening {
	l := &listening{stillMembers: stillMembers{names: c.nodes}, told: map[string][]message{}}
	c.others.members = l
	return l
}

func TestTheGossipIsToldWhoShouldBeThereWhenThatChanges(t *testing.T) {
	c := newStill(3, 0)
	l := c.listen()
	expect := func(what string, peers, nodes int) {
		t.Helper()
		if c.updatePeers(); l.peers != peers || l.nodes != nodes {
			t.Errorf("%s: told of members %d times and of nodes %d times", what, l.peers, l.nodes)
		}
	}
	expect("nothing has changed", 0, 0)
	c.view.SetNode("other", nodeObject("other", "10.100.7.7"))
	expect("there is a node without an announcer", 0, 1)
	expect("nothing has changed since", 0, 1)
	c.announcers[1].Status.Layer2.Interfaces[0].MAC = "02:00:00:00:00:77"
	c.setAnnouncer(1)
	expect("an announcer has another hardware address", 0, 1)
	if c.others.macs["02:00:00:00:00:77"] != stillName(1) {
		t.Error("it is not known")
	}
	c.view.SetAnnouncer(stillName(1), nil)
	expect("an announcer is gone", 1, 1)
}

func TestWhoIsToldOfHeartbeatsThatDoNotArrive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := newStill(4, 8)
	c.turn(t.Context())
	l, w := c.listen(), &c.others.watch
	const n1, n2, n3 = "node-0001", "node-0002", "node-0003"
	states := func(n1Is, n2Is, n3Is heartbeat.State) map[string]heartbeat.State {
		return map[string]heartbeat.State{n1: n1Is, n2: n2Is, n3: n3Is}
	}
	const heard, late, silent = heartbeat.Heard, heartbeat.Late, heartbeat.Silent
	tell := func(after time.Duration, before, is map[string]heartbeat.State) (all []message, some int) {
		w.states, l.told = before, map[string][]message{}
		c.tellMissing(is, now.Add(after))
		for name, messages := range l.told {
			if name == "all" {
				all = messages
			} else {
				some += len(messages)
			}
		}
		return all, some
	}
	if all, some := tell(0, states(heard, silent, heard), states(heard, silent, heard)); len(all)+some > 0 {
		t.Errorf("nothing has changed, and told is %v", l.told)
	}
	all, _ := tell(0, states(heard, silent, late), states(silent, heard, heard))
	if len(all) != 1 || !slices.Equal(all[0].Silent, []string{n1}) || !slices.Equal(all[0].Heard, []string{n2}) {
		t.Errorf("of one that is silent and one that is heard again, told is %v", l.told)
	}
	// That one is late concerns those who may take over, now and then.
	onTime, isLate := states(heard, heard, heard), states(late, heard, heard)
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {tellLateEvery - 1, false}, {tellLateEvery, true}, {tellLateEvery + 1, false}} {
		all, some := tell(tt.after, onTime, isLate)
		if len(all) > 0 || some > 0 != tt.want {
			t.Errorf("after %s: told is %v", tt.after, l.told)
		}
	}
	if tell(3*tellLateEvery, onTime, onTime); len(w.toldLate) > 0 {
		t.Errorf("later %v is remembered", w.toldLate)
	}
}

// withProblem is a kernel that answers for an address itself.
type withProblem struct {
	hollowHost
	problem string
	has     []layer2.KernelAddress
}

func (w *withProblem) KernelAnswers(layer2.Announced) string   { return w.problem }
func (w *withProblem) KernelAddresses() []layer2.KernelAddress { return w.has }

func TestWhatTheKernelHasIsWrittenWhenItIsSomethingElse(t *testing.T) {
	planner, now := plan.NewLayer2Planner(plan.NewView(), "n1"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kernel, c := &withProblem{hollowHost: hollowHost{address: addr("10.0.0.1")}}, kernelCheck{}
	c.check(kernel, planner, now)
	for i, tt := range []struct {
		problem string
		want    bool
	}{{"", false}, {"It answers.", true}, {"It answers.", false}, {"It answers for more.", true}, {"", true}} {
		now = now.Add(kernelCheckMax)
		kernel.problem = tt.problem
		if got := c.check(kernel, planner, now); got != tt.want || c.problem != tt.problem {
			t.Errorf("%d: changed %t, and it says %q", i, got, c.problem)
		}
	}
}
