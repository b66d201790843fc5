package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// unconnected is what is left of three nodes: n1 and n2, which neither the gossip nor the API connects. n2 does not know whether n1 is
// alive, as one that had no address to be asked for.
func unconnected(t *testing.T) (l *lan, ips []string) {
	l = web(t)
	l.many(20)
	l.settle()
	for ip := range l.nodes["n3"].layer2 {
		ips = append(ips, ip.String())
	}
	l.kill("n3")
	l.apiAway = true
	l.sees = map[string][]string{"n1": {"n1"}, "n2": {"n2"}}
	l.states = map[string]MemberState{"n1": Suspect, "n2": GossipBlocked}
	for range 3 {
		l.planAll()
	}
	return l, ips
}

func TestOfTwoNodesThatOnlyHearEachOtherOnTheNetworkOneTakesAnAddressOver(t *testing.T) {
	l, ips := unconnected(t)
	before := l.whose(ips)
	for range 10 { // as long as it lasts
		l.now = l.now.Add(recordTimeout / 2)
		l.planAll()
		for ip, owner := range l.whose(ips) {
			if owner != before[ip] {
				t.Fatalf("%s moved from %s to %s", ip, before[ip], owner)
			}
		}
	}
	l.apiAway = false
	l.settle()
	l.sees, l.states = nil, nil
	l.settle()
	for ip, owner := range l.whose(ips) {
		if owner != before[ip] {
			t.Errorf("%s moved from %s to %s when they were connected again", ip, before[ip], owner)
		}
	}
}

func TestWhoWasOnlyHeardOnTheNetworkIsAskedForBeforeItIsForgotten(t *testing.T) {
	for name, gone := range map[string]func(l *lan){
		"a dead one is followed at once": func(l *lan) { l.states = nil },
		"one that does not answer is followed when it was asked": func(l *lan) {
			l.now = l.now.Add(recordTimeout)
			l.planAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, ips := unconnected(t)
			if !slices.ContainsFunc(ips, func(ip string) bool { return l.owner(ip) == "n1" }) {
				t.Fatal("n1 has taken nothing over")
			}
			l.kill("n1")
			gone(l)
			l.planAll()
			for ip, owner := range l.whose(ips) {
				if owner != "n2" {
					t.Errorf("%s has %s", owner, ip)
				}
			}
		})
	}
}

func TestANodeGivesWayToOneItHearsOnlyIfNeitherCanKnowOfTheOther(t *testing.T) {
	for _, tt := range []struct {
		name     string
		other    string
		state    MemberState
		unasked  bool // says that nothing was known of the other, as of one that had no address to be asked for
		inGossip bool
		recorded bool
		drained  string
		givesWay bool
	}{
		{name: "whose gossip is blocked", other: "n1", state: GossipBlocked, givesWay: true},
		{name: "of which it does not know yet", other: "n1", state: Suspect, givesWay: true},
		{name: "for which it asks when it hears it", other: "n1", state: Suspect, unasked: true, givesWay: true},
		{name: "for which it asks when it hears it, and which does not answer", other: "n1", state: Dead, unasked: true},
		{name: "for which it asks when it hears it, whose name sorts later", other: "n4", state: Suspect, unasked: true},
		{name: "that has no announcer", other: "n1", state: AnnouncerDown},
		{name: "that is dead", other: "n1", state: Dead},
		{name: "that the gossip sees", other: "n1", inGossip: true},
		{name: "though the API shows the takeover", other: "n1", state: GossipBlocked, recorded: true},
		{name: "whose name sorts later", other: "n4", state: GossipBlocked},
		{name: "that is drained", other: "n1", state: GossipBlocked, drained: "n1"},
		{name: "while it is drained itself", other: "n4", state: Suspect, drained: "n2", givesWay: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t, "n1", "n2", "n3", "n4")
			l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
			l.advertise("all", v1alpha1.L2AdvertisementSpec{})
			l.many(20)
			l.settle()
			if tt.drained != "" {
				l.setNode(nodeObject(tt.drained, drained))
			}
			for _, name := range []string{"n1", "n3", "n4"} {
				l.kill(name)
			}
			l.sees = map[string][]string{"n2": {"n2"}}
			if tt.inGossip {
				l.sees["n2"] = []string{"n1", "n2"}
			}
			known := map[string]MemberState{tt.other: tt.state}
			if !tt.unasked {
				l.states = known
			}
			l.apiAway = true
			l.planAll()
			if tt.recorded {
				l.record("n2")
				l.planAll()
			}
			n2 := l.nodes["n2"]
			var heard []netip.Addr
			for ip, o := range n2.planner.claims.owned {
				if o.reason == MoveIncumbentDown {
					heard = append(heard, ip)
					n2.planner.ObserveAnnouncement(ip, tt.other, l.now)
				}
			}
			if tt.unasked {
				target, asked := n2.planner.ProbeTarget(tt.other, connected(n2.interfaces))
				if ip := target.Announced.Address; !asked || !slices.Contains(heard, ip) {
					t.Errorf("n2 asks for %s at %s: %t", ip, tt.other, asked)
				}
				l.states = known
			}
			l.planAll()
			kept := slices.DeleteFunc(slices.Clone(heard), func(ip netip.Addr) bool { return n2.layer2[ip] == nil })
			if givesWay := len(kept) == 0; len(heard) == 0 || givesWay != tt.givesWay {
				t.Errorf("of %v, n2 has kept %v", heard, kept)
			}
		})
	}
}

// TestNodesThatCannotTellEachOtherAgreeWhoHasTakenWhat has two nodes die one after the other while the API is away, and the gossip of a third one is
// blocked: it does not know what the others have taken over from the first one, and they do not know what it has.
func TestNodesThatCannotTellEachOtherAgreeWhoHasTakenWhat(t *testing.T) {
	for services := range 12 { // who has how much decides who takes what
		l, ips := fourOf(t, services)
		l.apiAway = true
		for _, dies := range []string{"n2", "n3"} {
			l.kill(dies)
			l.blockGossip("n1", GossipBlocked)
			l.settle()
			l.whose(ips)
		}
	}
}

// TestWhoShouldHaveTakenAnAddressOverAndDoesNotIsFollowed has a node lose its interface while nobody can be told.
func TestWhoShouldHaveTakenAnAddressOverAndDoesNotIsFollowed(t *testing.T) {
	l, ips := fourOf(t, 12)
	before := l.whose(ips)
	l.apiAway = true
	l.nodes["n1"].interfaces = nil
	l.kill("n3")
	l.blockGossip("n1", GossipBlocked)
	l.settle()
	l.now = l.now.Add(recordTimeout)
	l.settle()
	for _, ip := range ips {
		if before[ip] == "n3" {
			l.owner(ip)
		}
	}
}

// TestWhatANodeServesThatNobodyCanTellIsNotTakenForUnclaimed has a node take addresses over that cannot record it. The node that had them comes
// back, and is told nothing any more: only the network knows who has them.
func TestWhatANodeServesThatNobodyCanTellIsNotTakenForUnclaimed(t *testing.T) {
	for _, known := range []MemberState{GossipBlocked, Suspect} {
		l, ips := fourOf(t, 12)
		rest := func() {
			l.settle()
			l.now = l.now.Add(heardPeriod)
			l.settle()
		}
		l.blind = map[string]bool{"n3": true}
		rest()
		l.kill("n1")
		rest()
		l.boot("n1", eth0)
		rest()
		l.apiAway = true
		rest()
		l.blind = nil
		rest()
		l.blockGossip("n1", known)
		rest()
		before := l.whose(ips)
		l.kill("n2")
		l.blockGossip("n1", known)
		rest()
		for ip, owner := range l.whose(ips) {
			if before[ip] != "n2" && owner != before[ip] {
				t.Errorf("while the others take n1 for %v, %s moved from %s to %s", known, ip, before[ip], owner)
			}
		}
	}
}
