package peering

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// pathKey is what sessions of BGP have in common that share one of BFD.
type pathKey struct {
	peer, local netip.Addr
	multiHop    bool
}

// noPath is that of a session of BGP without BFD.
var noPath pathKey

func pathOf(s bfd.Session) pathKey { return pathKey{s.Peer, s.Local, s.MultiHop} }

// String is the name by which BFD knows the path, and people from its logs.
func (k pathKey) String() string {
	name := k.peer.String()
	if k.local.IsValid() {
		name += " from " + k.local.String()
	}
	if k.multiHop {
		name += " over several hops"
	}
	return name
}

// bfdPath is the path of a session of BGP that BFD is to watch, and how it is.
type bfdPath struct {
	// path has the session of BFD; noPath if there is none now.
	path    pathKey
	session bfd.Session
	address netip.Addr
	up      bool
	since   time.Time
	status  bfd.Status
	// refused is why it cannot be watched; empty if it can.
	refused string
	// failures is how often the session was lost by a dead path.
	failures uint64
}

// silencePatience is how long BFD may take to come up without anything being wrong.
const silencePatience = 5 * time.Second

// problem is what keeps BFD from being up, as a sentence; empty if nothing does or it has just begun.
func (w bfdPath) problem(now time.Time) string {
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
func (w bfdPath) failure() bgp.Problem {
	if w.status.Diagnostic == bfd.DetectionTimeExpired {
		return bgp.Problem{Kind: bgp.BFDSilent, Silence: w.status.LastDetection}
	}
	return bgp.Problem{Kind: bgp.BFDSignaledDown, Detail: w.status.RemoteDiagnostic.String()}
}

// status is what a node records of the path of a session; nil if it is not watched.
func (c *coupling) status(session bgp.SessionKey, now time.Time) *v1alpha1.BFDSession {
	w := c.watched[session]
	if w.path == noPath && w.refused == "" {
		return nil
	}
	out := &v1alpha1.BFDSession{State: v1alpha1.BFDDown, LastError: w.problem(now)}
	switch {
	case w.path == noPath:
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
