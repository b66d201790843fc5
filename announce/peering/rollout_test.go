package peering

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// fleet are nodes that roll changes of BGPPeers out, each of which sees what the others record.
type fleet struct {
	t       *testing.T
	now     time.Time
	names   []string
	nodes   map[string]*rollout
	status  map[string]map[bgp.SessionKey]bgp.PeerStatus
	wanted  map[bgp.SessionKey]bgp.Peer
	version string
}

func newFleet(t *testing.T, gracefulRestart bool, nodes []string, peers ...string) *fleet {
	f := &fleet{
		t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), names: nodes, version: "1",
		nodes: map[string]*rollout{}, status: map[string]map[bgp.SessionKey]bgp.PeerStatus{}, wanted: map[bgp.SessionKey]bgp.Peer{},
	}
	for _, name := range peers {
		p := bgp.Peer{Address: torAddress, LocalASN: 65001, PeerASN: 65000}
		if gracefulRestart {
			p.RestartTime = time.Minute
		}
		f.wanted[bgp.SessionKey{Peer: name}] = p
	}
	for _, name := range nodes {
		f.nodes[name], f.status[name] = newRollout(), map[bgp.SessionKey]bgp.PeerStatus{}
		f.step(name)
		for key := range f.wanted {
			f.status[name][key] = bgp.PeerStatus{Key: key, State: bgp.Established, Since: f.now, PeerASN: 65000, GracefulRestart: gracefulRestart}
		}
	}
	return f
}

// change changes the BGPPeers, and gives them another revision.
func (f *fleet) change(change func(*bgp.Peer)) {
	f.version += "+"
	for key, p := range f.wanted {
		change(&p)
		f.wanted[key] = p
	}
	f.now = f.now.Add(time.Hour)
}

// announcer is what a node has recorded.
func (f *fleet) announcer(name string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{}
	for key, status := range f.status[name] {
		since := metav1.NewTime(status.Since)
		session := v1alpha1.BGPSession{Name: key.Peer, State: v1alpha1.BGPConnecting, Since: &since, Revision: f.nodes[name].revision(key)}
		if status.State == bgp.Established {
			session.State = v1alpha1.BGPEstablished
		}
		a.Status.BGP.Peers = append(a.Status.BGP.Peers, session)
	}
	return a
}

// step has a node decide, and returns the sessions that it resets. Their routers see them go.
func (f *fleet) step(name string) (reset []string) {
	r := f.nodes[name]
	before := r.inForce
	revisions, sessions := map[bgp.SessionKey]string{}, []bgp.PeerStatus{}
	for key := range f.wanted {
		revisions[key] = f.version
	}
	for _, status := range f.status[name] {
		sessions = append(sessions, status)
	}
	peers, changed, wake := r.decide(rolloutState{now: f.now, peers: f.wanted, revisions: revisions, sessions: sessions, before: func() (all []*v1alpha1.Announcer) {
		for _, other := range f.names {
			if other < name {
				all = append(all, f.announcer(other))
			}
		}
		return all
	}})
	waits := false
	for key, p := range peers {
		waits = waits || p != f.wanted[key]
		if old := before[key]; old.peer != p && !p.ServedBy(old.peer, 65000) {
			if !changed {
				f.t.Errorf("%s: a change is not told", name)
			}
			reset = append(reset, key.Peer)
		}
	}
	if waits == wake.IsZero() {
		f.t.Errorf("%s: it waits: %v, and wakes at %s", name, waits, wake)
	}
	slices.Sort(reset)
	return reset
}

// steps has all nodes decide, and compares what they reset.
func (f *fleet) steps(when, want string) {
	f.t.Helper()
	var got []string
	for _, name := range slices.Backward(f.names) { // whoever comes last must wait all the same
		if reset := f.step(name); len(reset) > 0 {
			got = append(got, fmt.Sprint(name, reset))
			for _, peer := range reset {
				f.set(name, peer, bgp.Connect)
			}
		}
	}
	if got := strings.Join(got, " "); got != want {
		f.t.Errorf("%s: %q is reset, want %q", when, got, want)
	}
}

// set has a session be in a state since a moment from now.
func (f *fleet) set(name, peer string, state bgp.State) {
	f.now = f.now.Add(time.Second)
	key := bgp.SessionKey{Peer: peer}
	status := f.status[name][key]
	status.State, status.Since = state, f.now
	f.status[name][key] = status
}

func families(p *bgp.Peer) { p.Families = bgp.IPv4 }

func TestAChangeThatResetsSessionsGoesFromNodeToNode(t *testing.T) {
	f := newFleet(t, false, []string{"n1", "n2", "n3"}, "tor")
	f.change(families)
	f.steps("at first", "n1[tor]")
	f.steps("before the first is back", "")
	f.set("n1", "tor", bgp.Established)
	f.step("n1")
	f.steps("when it is", "n2[tor]")
	f.set("n2", "tor", bgp.Established)
	f.step("n2")
	f.steps("when the second is", "n3[tor]")
	f.set("n3", "tor", bgp.Established)
	f.steps("when all are", "")
}

func TestOnANodeOneSessionIsResetAfterAnother(t *testing.T) {
	f := newFleet(t, false, []string{"n1"}, "tor-a", "tor-b")
	f.change(families)
	f.steps("at first", "n1[tor-a]")
	f.steps("before it is back", "")
	f.set("n1", "tor-a", bgp.Established)
	f.steps("when it is", "n1[tor-b]")
	f.set("n1", "tor-b", bgp.Established)
	f.steps("when both are", "")
}

func TestANodeThatDoesNotComeBackHoldsUpTheOthersForAWhile(t *testing.T) {
	f := newFleet(t, false, []string{"n1", "n2", "n3"}, "tor")
	f.change(families)
	began := f.now
	f.steps("at first", "n1[tor]")
	f.now = began.Add(turnTime)
	f.steps("when the second has waited for it", "n2[tor]")
	f.set("n2", "tor", bgp.Established)
	f.step("n2")
	f.steps("before the third has waited for both", "")
	f.now = began.Add(2 * turnTime)
	f.steps("when it has", "n3[tor]")
}

func TestWhatTakesNoRoutesAwayIsDoneAtOnce(t *testing.T) {
	for _, test := range []struct {
		name            string
		gracefulRestart bool
		prepare         func(*fleet)
		change          func(*bgp.Peer)
		want            string
	}{
		{"what the router keeps the routes for", true, nil, families, "n2[tor] n1[tor]"},
		{"a change after which it would not", true, nil, func(p *bgp.Peer) { p.RestartTime = 0 }, "n1[tor]"},
		{"another autonomous system, for which it would not", true, nil, func(p *bgp.Peer) { p.LocalASN = 65009 }, "n1[tor]"},
		{"what is not negotiated", false, nil, func(p *bgp.Peer) { p.ConnectTime, p.MaxPrefixes = time.Minute, 5 }, ""},
		{"sessions that are down", false, func(f *fleet) { f.set("n2", "tor", bgp.Connect) }, families, "n2[tor] n1[tor]"},
		{"a node before it that has been down for long", false, func(f *fleet) { f.set("n1", "tor", bgp.Connect) }, families, "n2[tor] n1[tor]"},
		{"a BGPPeer that is new", false, nil, func(*bgp.Peer) {}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, test.gracefulRestart, []string{"n1", "n2"}, "tor")
			if test.prepare != nil {
				test.prepare(f)
			}
			f.change(test.change)
			f.steps("at first", test.want)
			if test.want == "" {
				for _, name := range f.names {
					if got := f.nodes[name].revision(tor); got != f.version {
						t.Errorf("%s goes by %q, want %q", name, got, f.version)
					}
				}
			}
		})
	}
}

func TestASessionThatIsNotWantedAnyMoreWaitsForNothing(t *testing.T) {
	f := newFleet(t, false, []string{"n1", "n2"}, "tor")
	f.change(families)
	f.steps("at first", "n1[tor]")
	f.wanted = map[bgp.SessionKey]bgp.Peer{}
	f.steps("without it", "")
	for name, r := range f.nodes {
		if len(r.inForce)+len(r.since)+len(r.resets) > 0 {
			t.Errorf("%s remembers %+v", name, r)
		}
	}
}

func TestANodeWaitsForThoseBeforeIt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.others = map[string]*v1alpha1.Announcer{}
		other := func(name, revision string) func(*v1alpha1.Announcer) {
			return func(a *v1alpha1.Announcer) {
				a.Status.BGP.Peers = []v1alpha1.BGPSession{{Name: name, State: v1alpha1.BGPEstablished, Revision: revision}}
			}
		}
		record := func(name string, change func(*v1alpha1.Announcer)) {
			a := &v1alpha1.Announcer{}
			change(a)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.others[name] = a
		}
		record("n0", other("tor", "old"))
		record("n2", other("tor", "old"))
		w.changes = append(w.changes, node(nil), nodeNamed("n0"), nodeNamed("n2"), peer("tor", nil))
		w.began()
		w.session(established(tor))
		w.take()
		change := func(s *v1alpha1.BGPPeerSpec) { s.HoldTime = &metav1.Duration{Duration: 9 * time.Second} }
		w.change(peer("tor", change))
		if w.bgp.told().set[tor].HoldTime != 0 {
			t.Fatal("it does not wait")
		}
		revision := w.planned(tor)
		record("n0", other("tor", cmp.Or(revision, "none")))
		time.Sleep(2 * turnInterval)
		synctest.Wait()
		if got := w.bgp.told().set[tor].HoldTime; got != 9*time.Second {
			t.Errorf("hold time %s when it is its turn", got)
		}
	})
}
