package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/bgp"
)

// bgpSessions are the sessions that a node has.
type bgpSessions struct {
	// peers are the sessions, and bfd is for those whose path is to be watched.
	peers map[bgp.SessionKey]bgp.Peer
	bfd   map[bgp.SessionKey]BFDSettings
	// revisions are those of their BGPPeers.
	revisions map[bgp.SessionKey]string
	// refused are sorted by name.
	refused []Refusal
	// ends has whose the sessions are. A peer tells its neighbors apart by their addresses.
	ends map[sessionEnds]string
}

// sessionEnds are what tells a session from others of a node.
type sessionEnds struct {
	address, source netip.Addr
	ifname          string
	port            uint16
}

// Refusal is why a node has no session with a BGPPeer that is for it.
type Refusal struct {
	Peer   string
	Reason RefusalReason
	// Detail is the object or the family in question, or an error; what it is depends on the reason.
	Detail string
}

func newBGPSessions() bgpSessions {
	return bgpSessions{peers: map[bgp.SessionKey]bgp.Peer{}, bfd: map[bgp.SessionKey]BFDSettings{}, revisions: map[bgp.SessionKey]string{}, ends: map[sessionEnds]string{}}
}

// keep has the sessions with a BGPPeer in place of what was added for it, as they were before.
func (s *bgpSessions) keep(old *bgpSessions, peer string) {
	for key := range s.peers {
		if key.Peer == peer {
			delete(s.peers, key)
			delete(s.revisions, key)
			delete(s.bfd, key)
		}
	}
	for key, session := range old.peers {
		if key.Peer != peer {
			continue
		}
		s.peers[key], s.revisions[key] = session, old.revisions[key]
		if settings, watched := old.bfd[key]; watched {
			s.bfd[key] = settings
		}
	}
}

// add adds the sessions with a BGPPeer, of which older ones were added before, and returns their
// keys, sorted.
func (s *bgpSessions) add(peer *bgpPeer, age int, v *View, name string, n *node, gateways []netip.Addr) (keys []bgp.SessionKey) {
	sessions, refusal := peer.sessions(name, n, gateways, v.passwords)
	for _, key := range slices.SortedFunc(maps.Keys(sessions), bgp.SessionKey.Compare) {
		session := sessions[key]
		ends := sessionEnds{session.Address, session.Source, session.Interface, session.Port}
		if older, known := s.ends[ends]; known {
			refusal = Refusal{peer.name, SamePeer, older}
			continue
		}
		s.ends[ends] = peer.name
		s.peers[key], s.revisions[key] = session, peer.revision(v.passwords)
		if peer.profile != "" {
			settings := v.bfdSettings(peer.profile)
			settings.Age = age
			s.bfd[key] = settings
		}
		keys = append(keys, key)
	}
	if refusal != (Refusal{}) {
		i, _ := slices.BinarySearchFunc(s.refused, refusal, func(a, b Refusal) int { return cmp.Compare(a.Peer, b.Peer) })
		s.refused = slices.Insert(s.refused, i, refusal)
	}
	return keys
}
