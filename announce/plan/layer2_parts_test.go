package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhoHasDoneSomethingSinceItWasLostIsAlive(t *testing.T) {
	l := &liveSet{}
	l.setInGossip([]string{"n1", "n2"})
	if l.setInGossip([]string{"n1", "n2"}) {
		t.Error("the same members are news")
	}
	before := l.generation
	if !l.setInGossip([]string{"n1"}) {
		t.Error("that one is lost is no news")
	}
	for _, tt := range []struct {
		name  string
		after int
		want  bool
	}{
		{"n1", l.generation, false}, // it is in sight
		{"n2", before, false},       // it may have done that before it was lost
		{"n2", l.generation, true},
		{"n2", l.generation, false}, // that is known
	} {
		if got := l.markAlive(tt.name, tt.after); got != tt.want {
			t.Errorf("%s, of generation %d: %t", tt.name, tt.after, got)
		}
	}
	l.setStates(map[string]MemberState{"n3": GossipBlocked, "n4": AnnouncerDown, "n5": Suspect, "n6": Dead})
	if got := fmt.Sprint(l.gossipBlocked()); got != "[n2 n3]" {
		t.Errorf("of %s the gossip is blocked", got)
	}
	ready := func(name string) bool { return name != "n2" }
	if got := fmt.Sprint(l.alive(ready)); got != "[n1 n3 n4 n5]" {
		t.Errorf("%s are alive", got)
	}
	l.setInGossip([]string{"n1", "n2"})
	if got := fmt.Sprint(l.gossipBlocked()); got != "[n3]" {
		t.Errorf("one is back, and of %s the gossip is blocked", got)
	}
}

func TestOfTwoTakeoversTheBetterOneCounts(t *testing.T) {
	ip, now := addr(vip), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		other takeover
		news  bool
		want  string
	}{
		{"the same", takeover{node: "n2", epoch: 5}, false, "n2"},
		{"a later epoch", takeover{node: "n3", epoch: 6}, true, "n3"},
		{"a later epoch of the same node", takeover{node: "n2", epoch: 6}, true, "n2"},
		{"an earlier epoch", takeover{node: "n1", epoch: 4}, false, "n2"},
		{"of one epoch, by a node that sorts first", takeover{node: "n1", epoch: 5}, true, "n1"},
		{"of one epoch, by a node that sorts later", takeover{node: "n3", epoch: 5}, false, "n2"},
	} {
		known := takeovers{}
		if !known.note(ip, takeover{node: "n2", epoch: 5}) {
			t.Fatal("the first one is no news")
		}
		tt.other.until = now
		if news := known.note(ip, tt.other); news != tt.news || known[ip].node != tt.want {
			t.Errorf("%s: news %t, %s counts", tt.name, news, known[ip].node)
		}
	}
}

func TestATakeoverThatIsNotRecordedIsToldAgainInHalfOfTheTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	known := takeovers{
		addr("192.168.10.1"): {node: "n1", epoch: 1, until: now.Add(recordTimeout)},
		addr("192.168.10.2"): {node: "n2", epoch: 1, until: now.Add(recordTimeout)},
	}
	expect := func(when time.Time, wantDue int, wantWake time.Time) {
		t.Helper()
		if due, wake := known.repeat("n1", when); len(due) != wantDue || !wake.Equal(wantWake) {
			t.Errorf("after %s: %v, and the next at %s", when.Sub(now), due, wake.Sub(now))
		}
	}
	half := now.Add(recordTimeout / 2)
	expect(now, 0, half)
	expect(half, 1, half.Add(recordTimeout/2))
	expect(half, 0, half.Add(recordTimeout/2))
	if left := known[addr("192.168.10.1")].until; !left.Equal(half.Add(recordTimeout)) {
		t.Errorf("it counts until %s", left.Sub(now))
	}
	known.giveUp(addr("192.168.10.1"), "n2") // it is not its own
	if len(known) != 2 {
		t.Error("a node has given up what another one has taken")
	}
	known.giveUp(addr("192.168.10.1"), "n1")
	if len(known) != 1 {
		t.Error("it is not given up")
	}
}

func TestWhatIsToldOfAClaimCountsUntilTheAPIShowsIt(t *testing.T) {
	v := NewView()
	maker := announcerOn("n2")
	maker.ResourceVersion = "7"
	v.SetAnnouncer("n2", maker)
	for _, tt := range []struct {
		name     string
		recorded bool
		version  string
		want     bool
	}{
		{name: "recorded with what the API shows", recorded: true, version: "7", want: true},
		{name: "recorded before that", recorded: true, version: "6", want: true},
		{name: "recorded later", recorded: true, version: "8", want: false},
		{name: "not recorded", version: "6", want: false},
		{name: "recorded in a version that is none", recorded: true, version: "x", want: false},
	} {
		if got := told("n2", Takeover{Epoch: 5, Recorded: tt.recorded, Version: tt.version}).shown(v, addr(vip)); got != tt.want {
			t.Errorf("%s: shown %t", tt.name, got)
		}
	}
	if told("n3", Takeover{Epoch: 5, Recorded: true, Version: "6"}).shown(v, addr(vip)) {
		t.Error("shown, and its maker has no Announcer")
	}
}

func TestAClaimThatOthersSeeRecordedComesAfterWhatThisNodeSees(t *testing.T) {
	seen := election.Claim{Node: "n3", Epoch: 5, Order: 1 << 40}
	recorded := told("n2", Takeover{Epoch: 5, Recorded: true}).claim()
	unrecorded := told("n1", Takeover{Epoch: 5}).claim()
	if !seen.Beats(recorded) || recorded.Beats(seen) {
		t.Error("what others see goes before what this node sees")
	}
	if !recorded.Beats(unrecorded) || unrecorded.Beats(recorded) {
		t.Error("what nobody sees goes before what others see")
	}
}

// A node that was out of sight is told what it may not know, and no more.
func TestWhatANodeThatWasOutOfSightIsTold(t *testing.T) {
	for _, tt := range []struct {
		name string
		// epochs of the claims of the owner n1, of n2 which is told, and of the dead n3; 0 for none.
		own, told, dead int64
		want            bool
	}{
		{"it has an older claim", 5, 4, 0, true},
		{"it has a claim of the same epoch", 5, 5, 0, false},
		{"it has a later claim", 5, 6, 0, false},
		{"it has none, and nor has anybody else", 5, 0, 0, false},
		{"it may take the address of a dead node over", 5, 0, 4, true},
		{"the claim of the dead node is not older", 5, 0, 5, false},
		{"it has a claim, which is what matters", 5, 5, 4, false},
	} {
		v := NewView()
		v.SetPool("lan", poolObject("lan", "192.168.10.0/24"))
		v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, serviceObject("web", vip))
		p := NewLayer2Planner(v, "n1")
		for name, epoch := range map[string]int64{"n1": tt.own, "n2": tt.told, "n3": tt.dead} {
			a := announcerOn(name)
			if epoch > 0 {
				a.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{IP: vip, Epoch: epoch, Interfaces: []string{"eth0"}}}
			}
			v.SetAnnouncer(name, a)
		}
		p.alive = []string{"n1", "n2"}
		p.claims.owned[addr(vip)] = &ownership{claim: claim{Claim: election.Claim{Node: "n1", Epoch: tt.own}}}
		if got := len(p.ClaimsAgainst("n2")) > 0; got != tt.want {
			t.Errorf("%s: told %t", tt.name, got)
		}
	}
}

func TestANodeThatServesAnAddressAlreadyIsAPreviousOwnerOfIt(t *testing.T) {
	ip := addr(vip)
	many := []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"}
	for _, tt := range []struct {
		name     string
		previous []string
		serving  string
		want     []string
	}{
		{"nobody", nil, "", nil},
		{"the first", nil, "n9", []string{"n9"}},
		{"it is the last one then", many[:2], "n9", []string{"n9", "n1", "n2"}},
		{"one that is known", many[:2], "n2", many[:2]},
		{"one too many", many, "n9", append([]string{"n9"}, many[:7]...)},
	} {
		c := &claims{owned: map[netip.Addr]*ownership{ip: {previous: slices.Clone(tt.previous), tentative: &tentative{}}}}
		c.clear(ip, tt.serving)
		if o := c.owned[ip]; !o.tentative.clear || !slices.Equal(o.previous, tt.want) {
			t.Errorf("%s: got %v", tt.name, o.previous)
		}
		c.clear(addr("192.168.10.1"), "n9") // of an address that it does not have
	}
}

func TestWhatCameOfAProbeIsNewsIfItIsSomethingElse(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := wishedProbes{addr(vip): {}}
	for i, tt := range []struct{ clear, news bool }{{false, false}, {true, true}, {true, false}, {false, true}} {
		if got := w.report(addr(vip), tt.clear, now); got != tt.news {
			t.Errorf("%d: news %t", i, got)
		}
	}
	if w.report(addr("192.168.10.1"), true, now) {
		t.Error("of an address that nobody asks for there is news")
	}
}

func TestTheInterfaceByWhichTheKernelSendsComesFirst(t *testing.T) {
	lan := []string{"192.168.10.0/24"}
	eth := func(n, rank int) Interface {
		return ifaceWith(fmt.Sprint("eth", n), lan, onLink("192.168.10.0/24", rank))
	}
	far := ifaceWith("eth9", nil, via("0.0.0.0/0", 0))
	for _, tt := range []struct {
		name      string
		ip        string
		some, all []Interface
		want      string
	}{
		{"it is among them", vip, []Interface{eth(0, 2), eth(1, 0), eth(2, 1)}, []Interface{eth(0, 2), eth(1, 0), eth(2, 1)}, "[eth1 eth0 eth2]"},
		{"it is not, and one of them would be next", vip, []Interface{eth(0, 2), eth(2, 1)}, []Interface{eth(0, 2), eth(1, 0), eth(2, 1)}, "[eth2 eth0]"},
		{"none of them leads there", "203.0.113.5", []Interface{eth(0, 2), eth(2, 1)}, []Interface{eth(0, 2), eth(2, 1), far}, "[eth0 eth2]"},
		{"two routes of one rank", vip, []Interface{eth(0, 0), eth(1, 0)}, []Interface{eth(0, 0), eth(1, 0)}, "[eth0 eth1]"},
		{"none", vip, nil, []Interface{eth(0, 0)}, "[]"},
	} {
		names := []string{}
		for _, i := range preferred(addr(tt.ip), tt.some, tt.all) {
			names = append(names, i.Name)
		}
		if got := fmt.Sprint(names); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if found, _, _ := lookup(addr(vip), []Interface{eth(0, 3), eth(1, 3)}); found.Name != "eth0" {
		t.Errorf("of two routes of one rank that of %s counts", found.Name)
	}
}

func TestADefaultRouteIsNoLAN(t *testing.T) {
	a, b := ifaceWith("ppp0", nil, onLink("0.0.0.0/0", 0)), ifaceWith("ppp1", nil, onLink("0.0.0.0/0", 1))
	if a.sameLAN(b) {
		t.Error("two that have nothing but a default route are in one LAN")
	}
	if c := ifaceWith("eth0", nil, onLink("0.0.0.0/1", 0)); !c.sameLAN(ifaceWith("eth1", []string{"10.0.0.0/8"})) {
		t.Error("a wide route on link is no network")
	}
}

func TestWhichAdvertisementsDisagree(t *testing.T) {
	n := func(n uint32) *uint32 { return &n }
	for _, tt := range []struct {
		name string
		a, b bgpAdvertisement
		want bool
	}{
		{"nothing is said", bgpAdvertisement{}, bgpAdvertisement{}, false},
		{"one says something", bgpAdvertisement{med: n(1)}, bgpAdvertisement{}, false},
		{"both say the same", bgpAdvertisement{med: n(1)}, bgpAdvertisement{med: n(1)}, false},
		{"both say something else", bgpAdvertisement{med: n(1)}, bgpAdvertisement{med: n(2)}, true},
		{"of different attributes", bgpAdvertisement{med: n(1)}, bgpAdvertisement{localPref: n(2)}, false},
		{"of one of two", bgpAdvertisement{localPref: n(1), med: n(1)}, bgpAdvertisement{localPref: n(1), med: n(2)}, true},
	} {
		if disagree(&tt.a, &tt.b) != tt.want || disagree(&tt.b, &tt.a) != tt.want {
			t.Errorf("%s: they disagree: %t", tt.name, !tt.want)
		}
	}
}

// The record of a move says why the one before does not announce, where that is alive.
func TestAMoveSaysWhyThePreviousOwnerDoesNotAnnounce(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(l *lan, owner string)
		want string
	}{
		"it is dead":     {func(l *lan, owner string) { l.kill(owner) }, ""},
		"it is excluded": {func(l *lan, owner string) { l.setNode(nodeObject(owner, excluded)) }, string(Excluded)},
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			tt.end(l, owner)
			var gained []Move
			for _, node := range []string{"n1", "n2", "n3"} {
				if node == owner {
					continue
				}
				for _, m := range l.plan(node).Moves {
					if m.To == node {
						gained = append(gained, m)
					}
				}
			}
			if len(gained) != 1 || string(gained[0].Verdict) != tt.want {
				t.Errorf("got %+v, want the verdict %q", gained, tt.want)
			}
		})
	}
}

func TestAConflictIsProbedWhereTheAddressWouldBeAnnouncedOrElseWhereTheHostWasHeard(t *testing.T) {
	for name, tt := range map[string]struct {
		gone bool
		want string
	}{
		"a Service has the address": {false, "[eth0]"},
		"no Service has it":         {true, "[eth7]"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t, "n1")
			l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
			l.advertise("all", v1alpha1.L2AdvertisementSpec{})
			l.setService(serviceObject("web", vip))
			l.setEndpoints(endpointsOn("web", "n1"))
			host := ConflictingHost{Interface: "eth7", MAC: "52:54:00:00:00:66"}
			l.conflicting = map[string]ConflictingHost{vip: host}
			l.settle()
			if tt.gone {
				l.deleteService("web")
			}
			l.now = l.now.Add(2 * conflictRetry)
			if got := fmt.Sprint(l.plan("n1").Probes[addr(vip)]); got != tt.want {
				t.Errorf("probed on %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAHostThatAnswersForEverythingIsForgottenWithTheAddress(t *testing.T) {
	l := newLAN(t, "n1")
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	l.setService(serviceObject("web", vip))
	l.setEndpoints(endpointsOn("web", "n1"))
	l.conflicting = map[string]ConflictingHost{vip: {Interface: "eth0", MAC: "52:54:00:00:00:66", Proxy: true}}
	l.settle()
	known := func() bool { return l.nodes["n1"].planner.conflicts[addr(vip)] != nil }
	if !known() {
		t.Fatal("it is not known")
	}
	l.plan("n1")
	if !known() {
		t.Error("forgotten, and a Service has the address")
	}
	l.deleteService("web")
	l.plan("n1")
	if known() {
		t.Error("no Service has the address, and it is still known")
	}
}
