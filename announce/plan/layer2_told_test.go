package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// sleep has a node do nothing any more, and the others take it for dead.
func (l *lan) sleep(name string) *planned {
	n := l.nodes[name]
	l.kill(name)
	return n
}

// awake has a node go on with what it knew when it was put to sleep.
func (l *lan) awake(name string, n *planned) {
	l.nodes[name] = n
	l.alive = slices.Sorted(slices.Values(append(slices.Clone(l.alive), name)))
}

// tell has all nodes tell one what it does not know, and hear from it what does not hold of that.
func (l *lan) tell(name string) {
	for other, n := range l.nodes {
		if other != name {
			against := l.nodes[name].planner.ObserveClaims(other, n.planner.ClaimsAgainst(name), l.now)
			n.planner.ObserveClaims(name, against, l.now)
		}
	}
}

// TestTwoClaimsOfOneEpochAreSettledWithoutTheAPI has two nodes take an address over, of which the second cannot know of the first one,
// since its API is away. Their claims follow the same one.
func TestTwoClaimsOfOneEpochAreSettledWithoutTheAPI(t *testing.T) {
	for _, tt := range []struct {
		name     string
		apiAway  bool // for the first one, too
		recorded bool // by the first one
	}{
		{"the first one has recorded its claim, and the second one's API is away", false, true},
		{"the API is away for both", true, false},
	} {
		for _, sorted := range []bool{true, false} { // by name, the first one comes first
			t.Run(fmt.Sprint(tt.name, ", ", sorted), func(t *testing.T) {
				l := web(t)
				l.setEndpoints(endpointsOn("web", "n1", "n2", "n3"))
				l.settle()
				l.kill(l.owner(vip))
				left := slices.Clone(l.alive)
				first, second := left[0], left[1]
				if !sorted {
					first, second = second, first
				}
				// The first one is the only one that the second one does not see, and takes the address over.
				l.apiAway, l.blind = tt.apiAway, map[string]bool{second: true}
				awake := l.sleep(second)
				l.planAll()
				l.recordAll()
				l.planAll()
				asleep := l.sleep(first)
				l.awake(second, awake)
				l.planAll()
				if got := l.owner(vip); got != second {
					t.Fatalf("%s has the address, want %s", got, second)
				}
				l.awake(first, asleep)
				l.tell(first)
				l.planAll()
				owner := l.owner(vip)
				if tt.recorded && owner != first {
					t.Errorf("%s has the address, but %s has recorded its claim", owner, first)
				}
				for range 3 {
					l.now = l.now.Add(recordTimeout)
					l.planAll()
					if got := l.owners(vip); !slices.Equal(got, []string{owner}) {
						t.Errorf("later: %v answer, want %s", got, owner)
					}
				}
				l.apiAway, l.blind = false, nil
				l.settle()
				if got := l.owner(vip); got != owner {
					t.Errorf("it came to %s when the API was there again", got)
				}
			})
		}
	}
}

func TestANodeThatWasTakenForDeadGivesUpWhatOthersTellItAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		apiAway bool
	}{{"with the API", false}, {"while the API is away", true}} {
		t.Run(tt.name, func(t *testing.T) {
			l := web(t)
			l.many(20)
			l.settle()
			sleeper := l.owner(vip)
			n := l.sleep(sleeper)
			l.apiAway = tt.apiAway
			l.planAll()
			l.planAll()
			taker := l.owner(vip)
			l.awake(sleeper, n)
			l.tell(sleeper)
			l.plan(sleeper)
			if got := l.owners(vip); !slices.Equal(got, []string{taker}) {
				t.Errorf("after it was told: %v answer, want %s", got, taker)
			}
			// Without the API, what was told goes on to count for longer than a takeover does.
			for range 3 {
				l.now = l.now.Add(recordTimeout)
				l.planAll()
				if got := l.owners(vip); !slices.Equal(got, []string{taker}) {
					t.Errorf("later: %v answer, want %s", got, taker)
				}
			}
			l.apiAway = false
			l.settle()
			if got := l.owner(vip); got != taker {
				t.Errorf("it came to %s", got)
			}
			if len(n.planner.told) != 0 {
				t.Errorf("%v is remembered although the API shows it", n.planner.told)
			}
		})
	}
}

func TestAClaimThatWasToldCountsWhileItsMakerIsAlive(t *testing.T) {
	l := web(t)
	l.many(20)
	l.settle()
	sleeper := l.owner(vip)
	n := l.sleep(sleeper)
	l.apiAway = true
	l.planAll()
	taker := l.owner(vip)
	l.awake(sleeper, n)
	l.tell(sleeper)
	l.planAll()
	l.kill(taker)
	// Its announcer is down first, and the others forget what it had taken over.
	l.states = map[string]MemberState{taker: AnnouncerDown}
	l.planAll()
	l.now = l.now.Add(2 * recordTimeout)
	l.planAll()
	l.states = nil
	l.planAll()
	l.planAll()
	for i := range 20 {
		if got := l.owner(fmt.Sprintf("192.168.10.%d", 200+i)); got == taker {
			t.Errorf("%s has it, which is dead", got)
		}
	}
	l.apiAway = false
	l.settle()
	l.owner(vip)
}

// TestWhoIsCutOffKeepsToWhatItWasTold has a node lose an address to another one that had none, and the sight of all others before it sees
// that recorded: it is asked about whoever took the address over, too, and claims nothing before it knows.
func TestWhoIsCutOffKeepsToWhatItWasTold(t *testing.T) {
	for name, tell := range map[string]func(p *Layer2Planner, taker string, c Takeover, now time.Time){
		"by the claim": func(p *Layer2Planner, taker string, c Takeover, now time.Time) {
			p.ObserveClaims(taker, []Takeover{c}, now)
		},
		"when it was taken over": func(p *Layer2Planner, taker string, c Takeover, now time.Time) {
			p.ObserveTakeovers(taker, []Takeover{c}, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			loser := l.owner(vip)
			taker, p := otherThan(l, loser), l.nodes[loser].planner
			if _, asked := p.ProbeTarget(taker, l.nodes[loser].interfaces); asked {
				t.Fatalf("%s has an address already", taker)
			}
			own, _ := p.ownClaim(addr(vip))
			tell(p, taker, Takeover{Address: addr(vip), Epoch: own.Epoch + 1}, l.now)
			l.plan(loser)
			l.recordAll()
			l.alive, l.states = []string{loser}, map[string]MemberState{}
			for member := range l.nodes {
				if _, asked := p.ProbeTarget(member, l.nodes[loser].interfaces); asked && member != loser {
					l.states[member] = Suspect // as long as no majority is in sight
				}
			}
			for range 3 {
				l.plan(loser)
				l.recordAll()
				if claims := l.api[loser].Status.Layer2.Addresses; len(claims) > 0 {
					t.Fatalf("it claims %+v, and %s has taken it over", claims, taker)
				}
				l.now = l.now.Add(recordTimeout / 4)
			}
		})
	}
}

func TestAClaimThatIsOlderThanTheNodesOwnTakesNothing(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	ip := netip.MustParseAddr(vip)
	for _, epoch := range []int64{-1, 0, 1} {
		l.nodes[owner].planner.ObserveClaims(otherThan(l, owner), []Takeover{{Address: ip, Epoch: epoch}}, l.now)
	}
	l.nodes[owner].planner.ObserveClaims(owner, []Takeover{{Address: ip, Epoch: 7}}, l.now) // somebody in its own name
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
}

func TestWhatMembersTellTakesNoMoreRoomThanServicesHave(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	p, other := l.nodes[owner].planner, otherThan(l, owner)
	ip := netip.MustParseAddr("10.0.0.0")
	var claims []Takeover
	for range 1000 {
		ip = ip.Next()
		claims = append(claims, Takeover{Address: ip, Epoch: 7})
	}
	p.ObserveTakeovers(other, claims, l.now)
	p.ObserveClaims(other, claims, l.now)
	p.ObserveClaims(other, []Takeover{{Address: addr(vip), Epoch: 7}}, l.now)
	if len(p.takeovers) > 0 || len(p.told) != 1 {
		t.Errorf("%d takeovers and %d claims of addresses are remembered, and one has a Service", len(p.takeovers), len(p.told))
	}
	l.deleteService("web")
	l.plan(owner)
	if len(p.told) > 0 {
		t.Errorf("%d claims are remembered, and no Service has an address", len(p.told))
	}
}

func TestMembersThatAreNoMoreTakeNoRoom(t *testing.T) {
	l := web(t)
	l.settle()
	p := l.nodes["n1"].planner
	for n := range 1000 { // nodes that come, and go for ever
		p.SetAlive([]string{"n1", fmt.Sprintf("n1-%d", n)})
		p.SetAlive([]string{"n1"})
		p.Plan(l.now)
	}
	if n := len(p.live.lost); n > len(l.api) {
		t.Errorf("%d members out of sight are remembered, and there are %d", n, len(l.api))
	}
}

// takenUnseen has the owner of an address die and another node take it over and record that, while the API of the third one is away.
func takenUnseen(t *testing.T, meanwhile func(l *lan, taker, blind string)) (l *lan, taker, blind string) {
	t.Helper()
	l = web(t)
	l.setEndpoints(endpointsOn("web", "n1", "n2", "n3"))
	l.settle()
	l.kill(l.owner(vip))
	l.plan(l.alive[0])
	taker, blind = l.nodes[l.alive[0]].planner.round.Decision(addr(vip)).Owner, l.alive[0]
	if blind == taker {
		blind = l.alive[1]
	}
	l.blind = map[string]bool{blind: true}
	meanwhile(l, taker, blind)
	l.settle()
	return l, taker, blind
}

// TestAClaimThatFollowsOneThatTheAPIDoesNotShowHasTheNextEpoch has the taker be suspended when its claim is long recorded.
func TestAClaimThatFollowsOneThatTheAPIDoesNotShowHasTheNextEpoch(t *testing.T) {
	for name, meanwhile := range map[string]func(l *lan, taker, blind string){
		"the blind one is told at once": func(*lan, string, string) {},
		"it is out of sight meanwhile": func(l *lan, taker, blind string) {
			l.sees = map[string][]string{taker: {taker}, blind: {blind}}
			l.states = map[string]MemberState{taker: GossipBlocked, blind: GossipBlocked}
			l.settle()
			l.sees, l.states = nil, nil
			l.tell(blind) // it is greeted
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, taker, blind := takenUnseen(t, meanwhile)
			for range 3 {
				l.now = l.now.Add(2 * recordTimeout)
				l.planAll()
				if got := l.owner(vip); got != taker {
					t.Fatalf("%s has taken the address from %s, which is alive and has recorded it", got, taker)
				}
			}
			suspended := l.sleep(taker)
			l.planAll()
			if got := l.owner(vip); got != blind {
				t.Fatalf("%s has the address, want %s", got, blind)
			}
			if own, _ := l.nodes[blind].planner.ownClaim(addr(vip)); own.Epoch != 3 {
				t.Errorf("%s claims it with epoch %d, and %s had 2", blind, own.Epoch, taker)
			}
			// The suspended one asks before it speaks. It is not seen yet.
			l.nodes[taker] = suspended
			l.tell(taker)
			suspended.planner.Plan(l.now)
			if got, has := suspended.planner.ownClaim(addr(vip)); has {
				t.Errorf("%s goes on with %v after it was told", taker, got)
			}
		})
	}
}

// TestWhoTakesAnAddressBackFollowsWhatItWasTold has a node that does not see the API lose an address, and take it back when the next owner
// has died. What that one has recorded, which the node sees later, does not show that it is alive.
func TestWhoTakesAnAddressBackFollowsWhatItWasTold(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	next := otherThan(l, owner)
	for _, name := range slices.Clone(l.alive) {
		if name != owner {
			l.kill(name)
		}
	}
	l.setNode(nodeObject(owner, drained))
	l.settle()
	l.blind = map[string]bool{owner: true}
	l.boot(next, eth0)
	l.settle()
	if got := l.owner(vip); got != next {
		t.Fatalf("%s has the address, want %s", got, next)
	}
	l.now = l.now.Add(2 * recordTimeout)
	l.kill(next)
	l.settle()
	l.now = l.now.Add(2 * recordTimeout)
	l.settle()
	l.blind = nil
	l.recordAll()
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("%s has the address, want %s", got, owner)
	}
}

// TestWhoDoesNotSeeTheAPIBelievesWhoHasRecordedAnAddress has an address leave a node for a reason that it cannot see.
func TestWhoDoesNotSeeTheAPIBelievesWhoHasRecordedAnAddress(t *testing.T) {
	for name, reason := range map[string]func(v *View, owner string){
		"it is drained":     func(v *View, owner string) { v.SetNode(owner, nodeObject(owner, drained)) },
		"it is excluded":    func(v *View, owner string) { v.SetNode(owner, nodeObject(owner, excluded)) },
		"it is not ready":   func(v *View, owner string) { v.SetNode(owner, nodeObject(owner, notReady)) },
		"others had no way": nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			if reason == nil { // and have one now
				for n := range l.nodes {
					if n != owner {
						l.nodes[owner].view.SetNode(n, nodeObject(n, excluded))
					}
				}
				reason = func(v *View, owner string) { v.SetNode(owner, nodeObject(owner, drained)) }
			}
			l.blind = map[string]bool{owner: true}
			for n, other := range l.nodes {
				if n != owner {
					reason(other.view, owner)
				}
			}
			l.settle()
			l.now = l.now.Add(2 * recordTimeout)
			l.settle()
			taker := l.owner(vip)
			if taker == owner {
				t.Fatalf("%s still has it", owner)
			}
			for _, n := range l.alive {
				l.nodes[owner].view.SetNode(n, nodeObject(n))
			}
			reason(l.nodes[owner].view, owner)
			l.blind = nil
			l.settle()
			if got := l.owner(vip); got != taker {
				t.Errorf("it moved to %s when the API was back", got)
			}
			if n := len(l.nodes[owner].planner.told); n > 0 {
				t.Errorf("%d told claims are remembered that the API shows", n)
			}
		})
	}
}

func TestWhatAMakerHasGivenUpSinceIsForgottenWhenTheAPIIsBack(t *testing.T) {
	l, taker, blind := takenUnseen(t, func(*lan, string, string) {})
	p := l.nodes[blind].planner
	if p.told[addr(vip)].node != taker {
		t.Fatalf("told is %v", p.told)
	}
	// The taker gives it up before the other one sees anything.
	l.deleteService("web")
	service := serviceObject("web", vip)
	l.nodes[blind].view.SetService(types.NamespacedName{Namespace: service.Namespace, Name: service.Name}, service)
	l.plan(taker)
	l.record(taker)
	l.plan(blind)
	if len(p.told) > 0 {
		t.Errorf("%v is remembered although %s says otherwise since", p.told, taker)
	}
}

// TestWhoIsToldOfAnAddressThatItKeepsAnnouncesItAgain has those who have heard the other one come back.
func TestWhoIsToldOfAnAddressThatItKeepsAnnouncesItAgain(t *testing.T) {
	for name, tell := range map[string]func(p *Layer2Planner, other string, l *lan) []Takeover{
		"it tells what it takes over": func(p *Layer2Planner, other string, l *lan) []Takeover {
			return p.ObserveTakeovers(other, []Takeover{{Address: addr(vip), Epoch: 1}}, l.now)
		},
		"it tells its claim": func(p *Layer2Planner, other string, l *lan) []Takeover {
			return p.ObserveClaims(other, []Takeover{{Address: addr(vip), Epoch: 1}}, l.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			p := l.nodes[owner].planner
			if against := tell(p, otherThan(l, owner), l); len(against) != 1 || !against[0].Recorded {
				t.Fatalf("the other one is told %v", against)
			}
			if plan := p.Plan(l.now); !slices.Equal(plan.Reannounce, []netip.Addr{addr(vip)}) {
				t.Errorf("announces %v again", plan.Reannounce)
			}
			if plan := p.Plan(l.now); len(plan.Reannounce) > 0 {
				t.Errorf("and again %v", plan.Reannounce)
			}
		})
	}
}

// dispute has two nodes announce an address with claims of one epoch, each of which takes its own for the one that was recorded first: one
// has seen the claim of the other in a version of its Announcer that was written later, since it has read the API anew.
func (l *lan) dispute(early, late string) {
	l.t.Helper()
	for name := range l.nodes {
		if name != early && name != late {
			l.kill(name)
		}
	}
	l.deleteService("web")
	l.settle()
	l.sees, l.apiAway = map[string][]string{early: {early}, late: {late}}, true
	l.states = map[string]MemberState{early: Dead, late: Dead} // what one of them is sent does not arrive
	l.setService(serviceObject("web", vip))
	for range 3 {
		l.planAll()
		l.now = l.now.Add(recordTimeout)
	}
	for name, seen := range map[string][]struct {
		of, version string
	}{early: {{early, "105"}, {late, "110"}}, late: {{late, "110"}, {early, "120"}}} {
		for _, s := range seen {
			a := l.api[s.of].DeepCopy()
			a.ResourceVersion, a.Status.Layer2 = s.version, l.nodes[s.of].planner.Status()
			l.nodes[name].view.SetAnnouncer(s.of, a)
			l.api[s.of] = a
		}
	}
	l.version, l.sees, l.states, l.apiAway = 120, nil, nil, false
	for range 2 {
		for name := range l.nodes {
			if plan := l.plan(name); len(plan.Layer2) != 1 {
				l.t.Fatalf("%s does not take the address for its own: %+v", name, plan)
			}
		}
	}
}

func TestOfTwoNodesThatTakeTheirClaimsOfOneEpochForTheFirstOneGoesOn(t *testing.T) {
	for how, tells := range map[string]func(p *Layer2Planner, to string) []Takeover{
		"each hears the other announce": func(p *Layer2Planner, _ string) []Takeover {
			claim, _ := p.ClaimOn(addr(vip))
			return []Takeover{claim}
		},
		"each was out of the other's sight": (*Layer2Planner).ClaimsAgainst,
	} {
		for early, late := range map[string]string{"n1": "n2", "n2": "n1"} {
			t.Run(how+", first is "+early, func(t *testing.T) {
				l := web(t)
				l.dispute(early, late)
				for teller, told := range map[string]string{early: late, late: early} {
					l.nodes[told].planner.ObserveClaims(teller, tells(l.nodes[teller].planner, told), l.now)
				}
				for name := range l.nodes {
					l.plan(name)
					l.record(name)
				}
				l.settle()
				if owner := l.owner(vip); owner != "n1" {
					t.Errorf("%s goes on, and the other one has the name that sorts first", owner)
				}
			})
		}
	}
}

// Who is told of a claim of the same epoch that the API does not show has no reason to go further.
func TestAClaimOfTheSameEpochThatIsNotDisputedHasNobodyTakeTheNextEpoch(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	claim, _ := l.nodes[owner].planner.ClaimOn(addr(vip))
	for name := range l.nodes {
		if name != owner {
			l.nodes[owner].planner.ObserveClaims(name, []Takeover{claim}, l.now)
		}
	}
	if plan := l.plan(owner); plan.Changed {
		t.Errorf("%s is about to record something: %+v", owner, plan)
	}
	if now, _ := l.nodes[owner].planner.ClaimOn(addr(vip)); now.Epoch != claim.Epoch {
		t.Errorf("the claim %+v has become %+v", claim, now)
	}
}

// TestWhatIsToldOfATakeoverIsForgottenWithItsMaker has a node take addresses over that it cannot record, and tell that to one that starts anew.
// Then its announcer is restarted, and knows nothing of them, and the API shows no claim on them any more.
func TestWhatIsToldOfATakeoverIsForgottenWithItsMaker(t *testing.T) {
	l, ips := fourOf(t, 12)
	l.blind = map[string]bool{"n3": true}
	l.kill("n4")
	l.settle()
	l.kill("n2")
	l.boot("n2", eth0)
	l.settle()
	l.boot("n4", eth0)
	l.settle()
	l.kill("n3")
	l.states = map[string]MemberState{"n3": AnnouncerDown}
	l.planAll()
	l.blind, l.states = nil, nil
	l.boot("n3", eth0)
	l.settle()
	l.now = l.now.Add(toldTimeout)
	l.settle()
	l.whose(ips)
}
