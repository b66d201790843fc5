package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Session is the configuration of a session with a peer. Two with the same Peer, Local, Interface,
// MultiHop and Port are the same session: if only other fields differ, the session changes without an
// interruption.
type Session struct {
	// Peer is the address of the peer. A zone means the same as Interface.
	Peer netip.Addr
	// Local is the address to send from, at which the peer's packets arrive. If it is not valid,
	// the routes decide the source address when the session's socket is opened, and the peer's
	// packets may arrive at any address that no other session with it has.
	Local netip.Addr
	// Interface is the network interface that the peer is on. It is needed if Peer is an IPv6
	// link-local address. Otherwise, empty leaves it to the routes. It cannot be combined with
	// MultiHop.
	Interface string
	// MultiHop is for a peer that may be behind routers (RFC 5883). Without it, packets that a
	// router has forwarded are refused.
	MultiHop bool
	// MinimumTTL is the least TTL or hop limit with which packets of a MultiHop peer may arrive. It
	// is 255 less the number of routers on the way if the peer sends with 255, as FRR does; BIRD
	// 2.0 sends with 64. Default 254.
	MinimumTTL uint8
	// Transmit is the interval at which packets are to be sent (bfd.DesiredMinTxInterval), and
	// Receive the shortest interval at which they can be received (bfd.RequiredMinRxInterval). In
	// each direction, the longer one of the sender's and the receiver's interval counts. From 10 ms
	// to 60 s, in whole microseconds. Default 300 ms.
	Transmit, Receive time.Duration
	// NotUp is the interval at which packets are sent unless the session is up, if it is longer than Transmit. RFC 5880, section 6.8.3,
	// has no less than a second, which is the default. A shorter one is for peers that are known to be there.
	NotUp time.Duration
	// Multiplier is how many packets must be missing until the peer goes down (bfd.DetectMult). For
	// this side, the peer's own multiplier counts. Default 3.
	Multiplier uint8
	// Coalesce has packets of the peer handled together with whatever else the Speaker does, and not each as it arrives, as long as the
	// session is up and they come in time. What is noticed when they do not, and when, stays the same; what they say is noticed up to an
	// interval and a quarter later. It saves most of the processor time, if all sessions of the port have it.
	Coalesce bool
	// Passive is the passive role: the peer begins. At most one of the two may have it.
	Passive bool
	// Port is the UDP port of both ends. 0 is BFD's: 3784, or 4784 for MultiHop.
	Port uint16
	// Keys authenticate the packets in both directions, among peers that have the same ones. Such a
	// session needs Local. nil is no authentication.
	Keys *Keys
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
	// ErrPortTaken says that another program on this node, such as a routing daemon, receives the
	// packets of BFD. The session works as soon as that program ends.
	ErrPortTaken = errors.New("another program on this node has taken the UDP port of BFD")
	// ErrDuplicate says that an older session, or one whose name sorts first, is the same session.
	ErrDuplicate = errors.New("another session has the same peer")
	// ErrInvalid says that a Session contradicts itself.
	ErrInvalid = errors.New("invalid session")
	// ErrAuthentication says that the peer's packets are authenticated, and the session has no Keys.
	ErrAuthentication = errors.New("the peer asks for authentication, which is not supported")
	// ErrNotAuthentic says that the session has Keys, and that the peer's packets are not made with one of them.
	ErrNotAuthentic = errors.New("the packets of the peer are not authentic")
	// ErrTTL says that the peer's packets have passed more routers than allowed.
	ErrTTL = errors.New("packets of the peer have passed too many routers")
	// ErrNotListening says that the peer's host refuses the packets: no program there speaks BFD.
	ErrNotListening = errors.New("the peer does not speak BFD")
)

// normalized returns the session with all defaults.
func (s Session) normalized() (Session, error) {
	if zone := s.Peer.Zone(); zone != "" && s.Interface == "" {
		s.Interface = zone
	} else if zone != "" && zone != s.Interface {
		return s, fmt.Errorf("%w: the peer is on interface %s and on %s", ErrInvalid, zone, s.Interface)
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
	if s.NotUp == 0 {
		s.NotUp = notUpInterval
	}
	if s.Multiplier == 0 {
		s.Multiplier = defaultMultiplier
	}
	s.Transmit, s.Receive, s.NotUp = s.Transmit.Truncate(time.Microsecond), s.Receive.Truncate(time.Microsecond), s.NotUp.Truncate(time.Microsecond)
	return s, s.validate()
}

// RemoteDetectionTime is the peer's detection time (RFC 5880, section 6.8.4): how long it waits for
// a packet until it goes down. That is so if the peer can receive at the interval Transmit.
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
		return invalid("the peer has no address")
	case s.Local.IsValid() && s.Local.Is4() != s.Peer.Is4():
		return invalid("%s and %s are of different families", s.Local, s.Peer)
	case s.MultiHop && s.Interface != "":
		return invalid("a peer that is several hops away is not on interface %s", s.Interface)
	case s.Peer.IsLinkLocalUnicast() && s.Peer.Is6() && s.Interface == "":
		return invalid("the link-local address %s needs an interface", s.Peer)
	case s.Keys != nil && !s.Local.IsValid():
		return invalid("a session that is authenticated needs a local address")
	}
	for _, interval := range []time.Duration{s.Transmit, s.Receive, s.NotUp} {
		if interval < minimumInterval || interval > maximumInterval {
			return invalid("the interval %s is not between %s and %s", interval, minimumInterval, maximumInterval)
		}
	}
	return nil
}

// path is what identifies a session: if it changes, it is another session.
type path struct {
	peer, local netip.Addr
	ifi         string
	multiHop    bool
	port        uint16
}

func (s Session) path() path { return path{s.Peer, s.Local, s.Interface, s.MultiHop, s.Port} }

// overlaps says whether a packet can be for either of two paths.
func (p path) overlaps(o path) bool {
	return p.peer == o.peer && p.multiHop == o.multiHop && p.port == o.port &&
		(p.local == o.local || !p.local.IsValid() || !o.local.IsValid()) &&
		(p.ifi == o.ifi || p.ifi == "" || o.ifi == "")
}

// service is the service at which the packets of the session arrive.
func (s Session) service() service {
	return service{six: s.Peer.Is6(), multiHop: s.MultiHop, own: s.Port}
}

// Status is how a session is doing.
type Status struct {
	// Name is the session's in Set.
	Name  string
	State State
	// Overdue says that the session is Up, and that a packet of the peer should have arrived and has not.
	Overdue bool
	// Since is when State changed last, or when the session was added.
	Since time.Time
	// Diagnostic is why this side left the state Up the last time.
	Diagnostic Diagnostic
	// RemoteState and RemoteDiagnostic are from the peer's last packet. AdminDown says that the
	// peer ended the session on purpose, which is no failure of the path (RFC 5882, section 3.2).
	// RemoteState is Down before the first packet.
	RemoteState      State
	RemoteDiagnostic Diagnostic
	// Failures is how often the session has left the state Up, unless the peer ended it on purpose.
	Failures uint64
	// Transmit is the present interval at which packets are sent, before jitter takes off up to a
	// quarter. Detection is the present detection time: how long no packet of the peer may arrive.
	// It is 0 while the peer is not heard.
	Transmit, Detection time.Duration
	// LastDetection is for how long no packet of the peer had arrived when the detection time last
	// expired in the state Up. It is 0 if that never happened.
	LastDetection time.Duration
	// Sent counts the packets that left. Received and Refused count those of this peer that were
	// handled and refused.
	Sent, Received, Refused uint64
	// LastReceived is when the last of those arrived that were handled; zero if none was.
	LastReceived time.Time
	// Err is what keeps the session from working, as far as is known: an error of this side, or why
	// the peer's last packet was refused. It is nil if nothing does. See ErrPortTaken and the
	// others.
	Err error
}
