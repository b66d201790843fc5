package plan

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// session is what a node sends on its sessions with a BGPPeer: routes of these families.
type session struct {
	peer     string
	families bgp.Families
}

// sessionsOf reads from an Announcer on which sessions its node sends routes, sorted by peer. An announcer that does not run has none,
// whatever it said before, and one of an earlier version, which reports no families, sends those of all.
func sessionsOf(object *v1alpha1.Announcer) (sessions []session) {
	if object == nil || !runs(object) {
		return nil
	}
	for _, s := range object.Status.BGP.Peers {
		if s.State != v1alpha1.BGPEstablished {
			continue
		}
		is := session{s.Name, bgp.IPv4 | bgp.IPv6}
		if len(s.Families) > 0 {
			is.families = 0
		}
		for _, f := range s.Families {
			switch {
			case f.LastError != "":
			case f.Family == corev1.IPv6Protocol:
				is.families |= bgp.IPv6
			default:
				is.families |= bgp.IPv4
			}
		}
		i, found := slices.BinarySearchFunc(sessions, is.peer, session.compare)
		if !found {
			sessions = slices.Insert(sessions, i, is)
		}
		sessions[i].families |= is.families
	}
	return sessions
}

func (s session) compare(peer string) int { return strings.Compare(s.peer, peer) }

// runs says whether what an Announcer says of sessions is so now, as far as is known.
func runs(object *v1alpha1.Announcer) bool {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return true
	}
	switch ready.Reason {
	case v1alpha1.ReasonStopped, v1alpha1.ReasonAnnouncerDown, v1alpha1.ReasonNodeUnreachable:
		return false
	}
	return true
}

// SetSpeaker takes of an Announcer what routes go by: what it says of kube-proxy and of its sessions; nil if the Announcer is gone.
// SetAnnouncer takes that, too.
func (v *View) SetSpeaker(node string, object *v1alpha1.Announcer) {
	v.setKubeProxy(node, object)
	v.setSessions(node, object)
}

// setSessions takes what an Announcer says of the sessions of its node; nil if the Announcer is gone.
func (v *View) setSessions(node string, object *v1alpha1.Announcer) {
	sessions := sessionsOf(object)
	if slices.Equal(sessions, v.sessions[node]) {
		return
	}
	v.routes.sessions = true
	if sessions == nil {
		delete(v.sessions, node)
	} else {
		v.sessions[node] = sessions
	}
}

// sends says whether a node has a session with one of some BGPPeers on which it sends routes to an address.
func (v *View) sends(node string, peers []string, ip netip.Addr) bool {
	family := bgp.FamilyOf(netip.PrefixFrom(ip, ip.BitLen()))
	return slices.ContainsFunc(v.sessions[node], func(s session) bool { return s.families&family != 0 && slices.Contains(peers, s.peer) })
}
