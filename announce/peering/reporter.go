package peering

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// countPause is the shortest time between two reports of how many prefixes are announced, if
// nothing else has changed: every node announces every Service, so all of them would write for
// each.
const countPause = 5 * time.Second

// reporter tells the API, people and the log what has changed about the sessions.
type reporter struct {
	writer StatusWriter
	events Events
	logger klog.Logger
	// bootID goes into the status.
	bootID string

	// refused and draining are those of the last plan, and sessions what was last seen.
	refused  []plan.Refusal
	draining bool
	sessions map[bgp.SessionKey]bgp.PeerStatus
	// written is the last status, and due when the next one may be written that differs in counts alone.
	written v1alpha1.BGPStatus
	due     time.Time
}

// planned takes in a plan.
func (r *reporter) planned(plan plan.BGPPlan) {
	for _, refusal := range plan.Refused {
		if !slices.Contains(r.refused, refusal) {
			r.logger.Info("This node has no session for a BGPPeer", "bgpPeer", refusal.Peer, "why", refusal.Sentence())
		}
	}
	if plan.Draining != r.draining && len(r.sessions) > 0 {
		what := "Speaking BGP again"
		if plan.Draining {
			what = "Shutting BGP sessions down gracefully"
		}
		r.logger.Info(what)
	}
	r.refused, r.draining = plan.Refused, plan.Draining
}

// closeReason is why a session is ended on purpose.
func (r *reporter) closeReason() string {
	if r.draining {
		return "the node is drained"
	}
	return "it is not wanted any more"
}

// sources say what there is to be recorded of a session besides what BGP sees: how its path is
// watched, nil if it is not, and by which revision of its BGPPeer it goes.
type sources struct {
	path     func(bgp.SessionKey) *v1alpha1.BFDSession
	revision func(bgp.SessionKey) string
}

// report tells what is seen on the sessions, and on the paths that BFD watches for them. It returns
// when to report again although nothing may have happened; zero: not before something does.
func (r *reporter) report(peers []bgp.PeerStatus, of sources, now time.Time) time.Time {
	r.tell(peers)
	status := r.status(peers, of)
	if !r.due.IsZero() && slices.EqualFunc(status.Peers, r.written.Peers, sameSession) {
		switch {
		case slices.EqualFunc(status.Peers, r.written.Peers, sameCount):
			return time.Time{}
		case now.Before(r.due):
			return r.due
		}
	}
	r.written, r.due = status, now.Add(countPause)
	r.writer.WriteBGP(status)
	return time.Time{}
}

func sameSession(a, b v1alpha1.BGPSession) bool {
	return a.Name == b.Name && a.Address == b.Address && a.State == b.State && a.Since.Equal(b.Since) && a.LastError == b.LastError && a.Revision == b.Revision &&
		slices.EqualFunc(a.Families, b.Families, sameFamily) && apiequality.Semantic.DeepEqual(a.BFD, b.BFD)
}

// sameFamily leaves out how many prefixes there are, but not whether there are any: by that it is
// known whether the address of a Service is announced.
func sameFamily(a, b v1alpha1.BGPSessionFamily) bool {
	return a.Family == b.Family && a.LastError == b.LastError && (a.Prefixes > 0) == (b.Prefixes > 0)
}

func sameCount(a, b v1alpha1.BGPSession) bool {
	return a.Prefixes == b.Prefixes && slices.Equal(a.Families, b.Families)
}

// status is what the node records of its sessions.
func (r *reporter) status(peers []bgp.PeerStatus, of sources) v1alpha1.BGPStatus {
	status := v1alpha1.BGPStatus{BootID: r.bootID}
	for _, p := range peers {
		session := sessionStatus(p, of.path(p.Key))
		session.Revision = of.revision(p.Key)
		status.Peers = append(status.Peers, session)
	}
	for _, refusal := range r.refused {
		status.Peers = append(status.Peers, v1alpha1.BGPSession{Name: refusal.Peer, State: v1alpha1.BGPRefused, LastError: refusal.Sentence()})
	}
	slices.SortFunc(status.Peers, func(a, b v1alpha1.BGPSession) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return status
}

func sessionStatus(p bgp.PeerStatus, path *v1alpha1.BFDSession) v1alpha1.BGPSession {
	session := v1alpha1.BGPSession{
		Name:      p.Key.Peer,
		State:     v1alpha1.BGPConnecting,
		Prefixes:  int32(p.Prefixes),
		Families:  familiesOf(p),
		LastError: p.Problem.String(),
		BFD:       path,
	}
	if p.State == bgp.Established {
		session.State = v1alpha1.BGPEstablished
	}
	if p.Address.IsValid() {
		session.Address = p.Address.String()
	}
	if !p.Since.IsZero() {
		since := metav1.NewTime(p.Since.Truncate(time.Second))
		session.Since = &since
	}
	return session
}

// familiesOf are the families that a session carries, or should.
func familiesOf(p bgp.PeerStatus) (families []v1alpha1.BGPSessionFamily) {
	for family, f := range map[corev1.IPFamily]bgp.Families{corev1.IPv4Protocol: bgp.IPv4, corev1.IPv6Protocol: bgp.IPv6} {
		problem := p.FamilyProblem(f)
		if p.Families&f != 0 || problem.Kind != bgp.NoProblem {
			families = append(families, v1alpha1.BGPSessionFamily{Family: family, Prefixes: int32(p.Sent.Of(f)), LastError: problem.String()})
		}
	}
	slices.SortFunc(families, func(a, b v1alpha1.BGPSessionFamily) int { return cmp.Compare(a.Family, b.Family) })
	return families
}

// tell has events for sessions that come and go.
func (r *reporter) tell(peers []bgp.PeerStatus) {
	before := r.sessions
	r.sessions = make(map[bgp.SessionKey]bgp.PeerStatus, len(peers))
	for _, p := range peers {
		r.sessions[p.Key] = p
		switch was, is := before[p.Key].State == bgp.Established, p.State == bgp.Established; {
		case is && !was:
			r.events.SessionEstablished(p.Key.Peer, p.Address)
		case was && !is:
			r.events.SessionLost(p.Key.Peer, p.Address, cmp.Or(p.Problem.String(), "no reason is known"))
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(before), bgp.SessionKey.Compare) {
		if _, there := r.sessions[key]; !there && before[key].State == bgp.Established {
			r.events.SessionClosed(key.Peer, before[key].Address, r.closeReason())
		}
	}
}
