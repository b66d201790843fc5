package announced

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// peerSessions are the sessions of a node with a BGPPeer, as its announcer reports them. Two of them
// are equal if addresses are sent on both alike, or for the same reason on neither.
type peerSessions struct {
	peer       string
	ipv4, ipv6 sending
}

// sending is whether addresses of a family are sent on a session, and if not what keeps them from
// being sent; nothing does if there are none. The zero sending is that of a session of which nothing is known.
type sending struct {
	established, sends bool
	// carried says that the session carries the family.
	carried bool
	problem string
}

// sessionsOf are the BGPPeers that a node has sessions with, as its announcer reports them, sorted.
func sessionsOf(announcer *v1alpha1.Announcer) []peerSessions {
	if announcer == nil {
		return nil
	}
	var sessions []peerSessions
	for _, session := range announcer.Status.BGP.Peers {
		s := peerSessions{session.Name, sendingOn(session, corev1.IPv4Protocol), sendingOn(session, corev1.IPv6Protocol)}
		i, found := slices.BinarySearchFunc(sessions, s.peer, comparePeer)
		if !found {
			sessions = slices.Insert(sessions, i, s)
			continue
		}
		sessions[i].ipv4, sessions[i].ipv6 = sessions[i].ipv4.or(s.ipv4), sessions[i].ipv6.or(s.ipv6)
	}
	return sessions
}

func comparePeer(s peerSessions, peer string) int { return cmp.Compare(s.peer, peer) }

// sendingOn reads what is sent of a family on a session. An announcer of an earlier version reports no
// families: then all are taken to be sent.
func sendingOn(session v1alpha1.BGPSession, family corev1.IPFamily) sending {
	if session.State != v1alpha1.BGPEstablished {
		return sending{problem: session.LastError}
	}
	if len(session.Families) == 0 {
		return sending{established: true, sends: true, carried: true}
	}
	for _, f := range session.Families {
		if f.Family == family {
			return sending{established: true, sends: f.Prefixes > 0, carried: f.LastError == "", problem: f.LastError}
		}
	}
	return sending{established: true, problem: bgp.Problem{Kind: bgp.NotCarried, Families: bgpFamily(family)}.String()}
}

// or is what is sent on either of two sessions with one BGPPeer.
func (s sending) or(o sending) sending {
	if s.established != o.established {
		if s.established {
			return s
		}
		return o
	}
	out := sending{established: s.established, sends: s.sends || o.sends, carried: s.carried || o.carried, problem: cmp.Or(s.problem, o.problem)}
	if out.carried {
		out.problem = ""
	}
	return out
}

// sending is what a node sends to a BGPPeer of the family of an address.
func (e *evaluator) sending(node, peer string, address netip.Addr) sending {
	sessions := e.sessionsWith(node, peer)
	if address.Is4() {
		return sessions.ipv4
	}
	return sessions.ipv6
}

// noSessionYet is why there is no session with a router of which nothing else is known.
const noSessionYet = "there is no session yet"

// whyNone is why there is no session.
func (s sending) whyNone() string { return cmp.Or(s.problem, noSessionYet) }

// sessionsWith are those of a node with a BGPPeer; zero if it has none.
func (e *evaluator) sessionsWith(node, peer string) peerSessions {
	sessions := e.sessions[node]
	i, found := slices.BinarySearchFunc(sessions, peer, comparePeer)
	if !found {
		return peerSessions{}
	}
	return sessions[i]
}

// familyOf is the IP family of an address.
func familyOf(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}
