package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
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
	l.planAll()
	l.planAll()
	if got := l.owner(vip); got == taker {
		t.Errorf("%s has it, which is dead", got)
	}
	l.apiAway = false
	l.settle()
	l.owner(vip)
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
