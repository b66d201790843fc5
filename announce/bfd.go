package announce

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// coupling decides what sessions of BFD there are for those of BGP, and what becomes of these when a path is dead. It has no clock
// and touches no socket.
//
// BFD begins when BGP has a session and ends with it: routers that set their side up by the one would take what comes before or
// after for a failure. There are two exceptions. A strict session waits for BFD. And the first one after a restart that the router
// is to take no notice of waits too: that router may still believe in the BFD session of the announcer before, and would take the
// new one, when both have a BGP session again, for the end of the old one.
type coupling struct {
	// restarted says that there was an announcer before, whose routes routers may have kept.
	restarted bool
	// begun says that the first plan has come, and gates has the sessions of that which have not been established since, until when
	// they wait for BFD. The zero time is that they do not know yet whom to wait for.
	begun bool
	gates map[string]time.Time
	// watched are the sessions of BGP whose path is to be watched. The map is not modified any more.
	watched map[string]watched
	// failures are those of a path that have been acted upon.
	failures map[string]uint64
}

// watched is how it stands with the path of a session.
type watched struct {
	// path is the name of the session of BFD; empty if there is none now.
	path    string
	address netip.Addr
	up      bool
	since   time.Time
	status  bfd.Status
	refused string
	// failures is how often the session was lost by a dead path.
	failures uint64
}

// sight is what there is to be seen.
type pathSight struct {
	now        time.Time
	peers      map[string]bgp.Peer
	detections map[string]Detection
	// sessions are those of BGP, and paths those of BFD.
	sessions []bgp.PeerStatus
	paths    []bfd.Status
	// networks are those that the node has an interface in.
	networks []netip.Prefix
}

// consequence is what is to be done.
type consequence struct {
	// sessions of BFD that there are to be, by path.
	sessions map[string]bfd.Session
	// held and broken are the sessions of BGP that are to wait, and that are to be lost, each with the reason.
	held, broken map[string]string
	// risen are the sessions of BGP whose path has been found alive.
	risen []string
	// wake is when to look again although nothing may have happened; zero: never.
	wake time.Time
}

// gatePatience is how long a session waits for BFD after a restart when the router must have noticed that the BFD session of the
// announcer before is dead: much longer than one takes that does BFD.
const gatePatience = 3 * time.Second

func newCoupling(restarted bool) *coupling {
	return &coupling{restarted: restarted, gates: map[string]time.Time{}, watched: map[string]watched{}, failures: map[string]uint64{}}
}

// look decides anew.
func (c *coupling) look(s pathSight) consequence {
	out := consequence{sessions: map[string]bfd.Session{}, held: map[string]string{}, broken: map[string]string{}}
	if !c.begun {
		c.begun = true
		for name := range s.detections {
			if c.restarted && s.peers[name].RestartTime != 0 {
				c.gates[name] = time.Time{}
			}
		}
	}
	sessions := make(map[string]bgp.PeerStatus, len(s.sessions))
	for _, session := range s.sessions {
		sessions[session.Name] = session
	}
	paths := make(map[string]bfd.Status, len(s.paths))
	for _, path := range s.paths {
		paths[path.Name] = path
	}
	before, ages := c.watched, map[string]int{}
	c.watched = make(map[string]watched, len(s.detections))
	for _, name := range slices.Sorted(maps.Keys(s.detections)) {
		detection, peer, session := s.detections[name], s.peers[name], sessions[name]
		w := watched{address: session.Address, refused: detection.Refused, failures: before[name].failures}
		if !w.address.IsValid() {
			w.address = peer.Address
		}
		c.watched[name] = w
		if w.refused != "" {
			continue
		}
		established := session.State == bgp.Established
		if established {
			delete(c.gates, name)
		}
		deadline, gated := c.gates[name]
		first := detection.Strict || gated // before BGP
		if !w.address.IsValid() {
			if first {
				out.held[name] = "BFD comes first"
			}
			continue
		}
		if !established && !first {
			continue
		}
		template := detection.Session
		template.Peer, template.Local, template.MultiHop = w.address, peer.Source, farAway(peer, w.address, s.networks)
		w.path = pathName(template)
		if age, known := ages[w.path]; !known || detection.Age < age {
			ages[w.path], out.sessions[w.path] = detection.Age, template
		}
		w.status = bfd.Status{State: bfd.Down, RemoteState: bfd.Down} // of one that is new
		if status, there := paths[w.path]; there {
			w.status = status
		}
		w.up = w.status.State == bfd.Up
		if w.since = s.now; before[name].path == w.path && before[name].up == w.up {
			w.since = before[name].since
		}
		broken := established && w.status.Failures > c.failures[w.path]
		if broken {
			w.failures++
			out.broken[name] = w.failure()
		}
		c.watched[name] = w
		if w.up && !before[name].up {
			out.risen = append(out.risen, name)
		}

		fine := w.up || w.status.RemoteState == bfd.AdminDown // which says nothing about the path
		if gated {
			if deadline.IsZero() {
				deadline = s.now.Add(min(template.Patience()+gatePatience, peer.RestartTime/2))
				c.gates[name] = deadline
			}
			if !fine && w.status.Err == nil && s.now.Before(deadline) {
				out.held[name] = "BFD comes first, since the router may not have noticed the restart"
				out.wake = earlier(out.wake, deadline)
			}
		}
		if detection.Strict && !fine {
			out.held[name] = "BFD is not up: " + cmp.Or(w.problem(s.now), "it has just begun")
		}
		if complaint := w.since.Add(silencePatience); !w.up && s.now.Before(complaint) {
			out.wake = earlier(out.wake, complaint)
		}
	}
	for path := range paths {
		c.failures[path] = paths[path].Failures
	}
	maps.DeleteFunc(c.failures, func(path string, _ uint64) bool {
		_, wanted := out.sessions[path]
		return !wanted
	})
	maps.DeleteFunc(c.gates, func(name string, _ time.Time) bool {
		_, wanted := s.detections[name]
		return !wanted
	})
	return out
}

// farAway says whether a router counts as one several hops away, as FRR counts: an external one does if it may be, and an internal one
// if it is on no network of the node.
func farAway(p bgp.Peer, address netip.Addr, networks []netip.Prefix) bool {
	if address.Is6() && address.IsLinkLocalUnicast() {
		return false
	}
	internal := p.PeerASN == p.LocalASN
	return p.MultihopTTL > 1 || p.SecurityHops > 1 || internal && !slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return n.Contains(address)
	})
}

// pathName is what sessions of BGP have in common that share one of BFD.
func pathName(s bfd.Session) string {
	name := s.Peer.String()
	if s.Local.IsValid() {
		name += " from " + s.Local.String()
	}
	if s.MultiHop {
		name += " over several hops"
	}
	return name
}

// silencePatience is how long BFD may take to come up without anything being wrong.
const silencePatience = 5 * time.Second

// problem is what keeps BFD from being up, as a sentence; empty if nothing does or it has just begun.
func (w watched) problem(now time.Time) string {
	switch {
	case w.refused != "":
		return w.refused
	case w.up:
		return ""
	case w.status.Err != nil:
		return w.status.Err.Error()
	case w.status.RemoteState == bfd.AdminDown:
		return "the router has shut BFD down"
	case now.Before(w.since.Add(silencePatience)):
		return ""
	case w.status.Detection == 0:
		return "the router sends no BFD packets"
	}
	return "the router does not receive the BFD packets of the node"
}

// failure says how BFD went down.
func (w watched) failure() string {
	if w.status.Diagnostic == bfd.DetectionTimeExpired {
		return fmt.Sprintf("BFD heard nothing from the router for %s", w.status.LastDetection.Round(time.Millisecond))
	}
	return fmt.Sprintf("BFD of the router went down: %s", w.status.RemoteDiagnostic)
}

// report is what a node records of the path of a session; nil if it is not watched.
func (c *coupling) report(session string, now time.Time) *v1alpha1.BFDSession {
	w := c.watched[session]
	if w.path == "" && w.refused == "" {
		return nil
	}
	out := &v1alpha1.BFDSession{State: v1alpha1.BFDDown, LastError: w.problem(now)}
	switch {
	case w.refused != "":
		out.State = v1alpha1.BFDRefused
		return out
	case w.up:
		out.State = v1alpha1.BFDUp
		out.DetectionTime = &metav1.Duration{Duration: w.status.Detection}
	}
	since := metav1.NewTime(w.since.Truncate(time.Second))
	out.Since = &since
	return out
}
