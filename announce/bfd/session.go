package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Session is what is wanted of a session with a neighbour. Those with the same Peer, Local, Interface and MultiHop are the same
// session; whatever else differs changes without an interruption.
type Session struct {
	// Peer is the address of the neighbour. A zone is the same as Interface.
	Peer netip.Addr
	// Local is the address to send from, and to be addressed by. Not valid leaves it to the routes at the time when the session's socket
	// is opened, and to the neighbour as far as no other session with it has the address.
	Local netip.Addr
	// Interface is the network interface that the neighbour is on. Needed if Peer is an IPv6 link-local address; otherwise empty leaves
	// it to the routes. It does not go with MultiHop.
	Interface string
	// MultiHop is for a neighbour that may be behind routers (RFC 5883). Otherwise packets that have passed a router are refused.
	MultiHop bool
	// MinimumTTL is the least TTL or hop limit with which packets of a MultiHop neighbour may arrive: 255 less the routers on the way, if
	// the neighbour begins with 255, as FRR does; BIRD 2.0 begins with 64. Default 254.
	MinimumTTL uint8
	// Transmit and Receive are how often packets are to be sent and can be received at most: the slower of Transmit and of what the
	// neighbour can receive counts, and the same for the other direction. From 10 ms to 60 s, in whole microseconds. Default 300 ms.
	Transmit, Receive time.Duration
	// Multiplier is how many packets have to be missing for the neighbour to take the path for dead; the neighbour's own counts for this
	// side. Default 3.
	Multiplier uint8
	// Passive leaves it to the neighbour to begin. At most one of the two may be passive.
	Passive bool
}

// Defaults and limits are those of the BFD daemon of FRR.
const (
	defaultInterval   = 300 * time.Millisecond
	defaultMultiplier = 3
	defaultMinimumTTL = 254
	minimumInterval   = 10 * time.Millisecond
	maximumInterval   = 60 * time.Second
)

// Errors of a Status.
var (
	// ErrPortTaken says that another program on this node receives what is for BFD, such as a routing daemon. The session works as soon
	// as that ends.
	ErrPortTaken = errors.New("another program on this node has taken the UDP port of BFD")
	// ErrDuplicate says that an older session, or one whose name comes first, is the same one.
	ErrDuplicate = errors.New("another session has the same neighbour")
	// ErrInvalid says that a Session contradicts itself.
	ErrInvalid = errors.New("invalid session")
	// ErrAuthentication says that the neighbour's packets are authenticated, which is not supported.
	ErrAuthentication = errors.New("the neighbour asks for authentication, which is not supported")
	// ErrTTL says that the neighbour's packets have passed more routers than allowed.
	ErrTTL = errors.New("packets of the neighbour have come too far")
	// ErrNotListening says that the neighbour's host answers that nothing there speaks BFD.
	ErrNotListening = errors.New("the neighbour does not speak BFD")
)

// normalized fills in what is left to default.
func (s Session) normalized() (Session, error) {
	if zone := s.Peer.Zone(); zone != "" && s.Interface == "" {
		s.Interface = zone
	} else if zone != "" && zone != s.Interface {
		return s, fmt.Errorf("%w: the neighbour is on interface %s and on %s", ErrInvalid, zone, s.Interface)
	}
	s.Peer, s.Local = s.Peer.Unmap().WithZone(""), s.Local.Unmap().WithZone("")
	if s.MinimumTTL == 0 {
		s.MinimumTTL = defaultMinimumTTL
	}
	if !s.MultiHop {
		s.MinimumTTL = 255 // RFC 5881, section 5
	}
	if s.Transmit == 0 {
		s.Transmit = defaultInterval
	}
	if s.Receive == 0 {
		s.Receive = defaultInterval
	}
	if s.Multiplier == 0 {
		s.Multiplier = defaultMultiplier
	}
	s.Transmit, s.Receive = s.Transmit.Truncate(time.Microsecond), s.Receive.Truncate(time.Microsecond)
	return s, s.validate()
}

// RemoteDetectionTime is how long the neighbour waits for a packet before it takes the path for dead, if it can receive as often as Transmit.
func (s Session) RemoteDetectionTime() time.Duration {
	s, _ = s.normalized()
	return time.Duration(s.Multiplier) * s.Transmit
}

func (s Session) validate() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case !s.Peer.IsValid() || s.Peer.IsUnspecified() || s.Peer.IsMulticast():
		return invalid("the neighbour has no address")
	case s.Local.IsValid() && s.Local.Is4() != s.Peer.Is4():
		return invalid("%s and %s are of different families", s.Local, s.Peer)
	case s.MultiHop && s.Interface != "":
		return invalid("a neighbour that is several hops away is not on interface %s", s.Interface)
	case s.Peer.IsLinkLocalUnicast() && s.Peer.Is6() && s.Interface == "":
		return invalid("the link-local address %s needs an interface", s.Peer)
	}
	for _, interval := range []time.Duration{s.Transmit, s.Receive} {
		if interval < minimumInterval || interval > maximumInterval {
			return invalid("the interval %s is not between %s and %s", interval, minimumInterval, maximumInterval)
		}
	}
	return nil
}

// path is what makes a session another one if it changes.
type path struct {
	peer, local netip.Addr
	ifi         string
	multiHop    bool
}

func (s Session) path() path { return path{s.Peer, s.Local, s.Interface, s.MultiHop} }

// overlaps tells whether a packet can be for either of two paths.
func (p path) overlaps(o path) bool {
	return p.peer == o.peer && p.multiHop == o.multiHop &&
		(p.local == o.local || !p.local.IsValid() || !o.local.IsValid()) &&
		(p.ifi == o.ifi || p.ifi == "" || o.ifi == "")
}

// service is where the packets of a session arrive, besides those of others.
func (s Session) service() service { return service{six: s.Peer.Is6(), multiHop: s.MultiHop} }

// Status is how a session is doing.
type Status struct {
	// Name is the session's in Set.
	Name  string
	State State
	// Since is when State changed last, or the session was added.
	Since time.Time
	// Diagnostic is why this side left the state Up last.
	Diagnostic Diagnostic
	// RemoteState and RemoteDiagnostic are what the neighbour said last; AdminDown is that it ended the session on purpose, which is no
	// failure of the path (RFC 5882, section 3.2). RemoteState is Down before it has said anything.
	RemoteState      State
	RemoteDiagnostic Diagnostic
	// Failures is how often the session has left the state Up but for the neighbour ending it on purpose.
	Failures uint64
	// Transmit is how often packets are sent now, less up to a quarter so that sessions do not beat in time, and Detection how long the
	// neighbour may be silent.
	Transmit, Detection time.Duration
	// LastDetection is how long the neighbour had been silent when that was last noticed in the state Up; 0 if it never was.
	LastDetection time.Duration
	// Sent, Received and Refused count packets: those that left, and those of this neighbour that were taken and that were not.
	Sent, Received, Refused uint64
	// Err is what keeps the session from working as far as is known: an error of this side, or why the neighbour's last packet was
	// refused; nil if nothing does. See ErrPortTaken and the others.
	Err error
}
