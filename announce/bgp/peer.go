package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Families are address families whose routes a session carries.
type Families uint8

// The families, which may be combined.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// String names the families.
func (f Families) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	case IPv4 | IPv6:
		return "IPv4 and IPv6"
	}
	return "no"
}

// Peer is a BGP peer, and how to have a session with it. Peers can be compared with ==. ServedBy says
// which changes take an established session down and up again.
type Peer struct {
	// Address of the peer; a link-local one has the interface as its zone. The zero Addr is that of
	// whichever router sends Router Advertisements (RFC 4861) on Interface ("unnumbered"): this
	// node then sends them there too, with a Router Lifetime of 0.
	Address netip.Addr
	// Interface binds the session to an interface, which may be that of a VRF. Empty leaves it to
	// the routing table.
	Interface string
	// Port that the peer listens on. 0 is 179.
	Port uint16
	// Source is the address of this node to connect from. The zero Addr leaves it to the routing table.
	Source netip.Addr

	// LocalASN is the autonomous system of this node on the session.
	LocalASN uint32
	// PeerASN is that of the peer: equal to LocalASN is an internal session, another one external.
	// 0 accepts every one but LocalASN.
	PeerASN uint32
	// RouterID is the BGP Identifier of this node (RFC 4271, section 4.2). It has the form of an
	// IPv4 address and must not be 0.0.0.0.
	RouterID netip.Addr
	// Families that are offered (RFC 4760); those that the peer offers too are used. 0 is all. Host
	// says what the next hops of their routes are.
	Families Families

	// Password for TCP MD5 signatures (RFC 2385). Empty is none.
	Password string
	// MultihopTTL is the TTL of packets to an external peer that is not on a shared network. 0 is
	// 1: it is on one. Where the peer may be of any autonomous system, and to an internal one, it
	// is the system's default instead.
	MultihopTTL uint8
	// SecurityHops, if it is not 0, refuses packets from more than so many hops away (RFC 5082): 1
	// is the same network. The peer must do the same. It excludes MultihopTTL.
	SecurityHops uint8

	// HoldTime after which a silent peer is given up (RFC 4271, section 4.2). 0 is 90 s. Times are
	// whole seconds, since that is what goes over the wire or what GoBGP counts in.
	HoldTime time.Duration
	// KeepaliveTime between KEEPALIVE messages. 0 is a third of the hold time.
	KeepaliveTime time.Duration
	// ConnectTime between attempts to connect, after a first one that comes at once. 0 is 5 s, the
	// least is 2 s.
	ConnectTime time.Duration
	// RestartTime, if it is not 0, has the peer keep the routes for that long when this process
	// ends without a NOTIFICATION (RFC 4724), at most 4095 s.
	RestartTime time.Duration

	// MaxPrefixes is how many routes of each family the peer may send before the session is closed.
	// 0 is any number.
	MaxPrefixes uint32
}

// The defaults and limits of timers.
const (
	defaultHoldTime    = 90 * time.Second
	MinHoldTime        = 3 * time.Second // RFC 4271, section 4.2
	maxHoldTime        = 65535 * time.Second
	defaultConnectTime = 5 * time.Second
	MinConnectTime     = 2 * time.Second
	MaxRestartTime     = 4095 * time.Second // RFC 4724, section 3
	maxPassword        = 80                 // tcp(7), TCP_MD5SIG_MAXKEYLEN
)

// Validate says what about a Peer cannot be honoured.
func (p Peer) Validate() error {
	switch {
	case !p.Address.IsValid() && p.Interface == "":
		return errors.New("neither an address nor an interface to find the router on")
	case p.Address.IsValid() && (p.Address.IsUnspecified() || p.Address.IsMulticast()):
		return fmt.Errorf("%s is not the address of a router", p.Address)
	case p.Address.IsLinkLocalUnicast() && p.Address.Is6() && p.Address.Zone() == "":
		return fmt.Errorf("the link-local address %s needs an interface as its zone", p.Address)
	case p.Source.IsValid() && p.Address.IsValid() && p.Source.Is4() != p.Address.Is4():
		return fmt.Errorf("the source %s is not of the family of %s", p.Source, p.Address)
	case p.Source.IsValid() && !p.Address.IsValid():
		return errors.New("a router that is found on an interface is spoken with from the link-local address there, not from another source")
	case p.LocalASN == 0:
		return errors.New("no autonomous system of this node")
	case !p.RouterID.Is4() || p.RouterID.IsUnspecified():
		return fmt.Errorf("the router ID %s does not have the form of an IPv4 address", p.RouterID)
	case p.Families > IPv4|IPv6:
		return fmt.Errorf("unknown families %d", p.Families)
	case len(p.Password) > maxPassword:
		return fmt.Errorf("a password of %d bytes; %d are possible", len(p.Password), maxPassword)
	case p.MultihopTTL != 0 && p.SecurityHops != 0:
		return errors.New("a TTL and TTL security exclude each other")
	}
	return errors.Join(
		checkTime("hold time", p.HoldTime, MinHoldTime, maxHoldTime),
		checkTime("keepalive time", p.KeepaliveTime, time.Second, p.EffectiveHoldTime()),
		checkTime("connect time", p.ConnectTime, MinConnectTime, maxHoldTime),
		checkTime("restart time", p.RestartTime, time.Second, MaxRestartTime),
	)
}

func checkTime(what string, d, least, most time.Duration) error {
	switch {
	case d == 0:
		return nil
	case d < least || d > most:
		return fmt.Errorf("a %s of %s; it can be %s to %s", what, d, least, most)
	case d%time.Second != 0:
		return fmt.Errorf("a %s of %s; it can be whole seconds", what, d)
	}
	return nil
}

// EffectiveHoldTime is HoldTime or its default.
func (p Peer) EffectiveHoldTime() time.Duration {
	if p.HoldTime == 0 {
		return defaultHoldTime
	}
	return p.HoldTime
}

// EffectiveKeepaliveTime is KeepaliveTime or its default, which is at least 1 s.
func (p Peer) EffectiveKeepaliveTime() time.Duration {
	if p.KeepaliveTime == 0 {
		return max(p.EffectiveHoldTime()/3, time.Second).Truncate(time.Second)
	}
	return p.KeepaliveTime
}

// EffectiveConnectTime is ConnectTime or its default.
func (p Peer) EffectiveConnectTime() time.Duration {
	if p.ConnectTime == 0 {
		return defaultConnectTime
	}
	return p.ConnectTime
}

// OfferedFamilies are Families or their default.
func (p Peer) OfferedFamilies() Families {
	if p.Families == 0 {
		return IPv4 | IPv6
	}
	return p.Families
}

// Internal says whether the session is one within an autonomous system.
func (p Peer) Internal() bool { return p.PeerASN == p.LocalASN }

// Unnumbered says whether the address of the peer must be found first.
func (p Peer) Unnumbered() bool { return !p.Address.IsValid() }

// Continues says whether a session with these parameters is, to the peer, another one of the same
// node as before, so that it may keep the routes meanwhile.
func (p Peer) Continues(before Peer) bool {
	return p.Address == before.Address && p.Interface == before.Interface && p.Source == before.Source &&
		p.LocalASN == before.LocalASN && p.PeerASN == before.PeerASN && p.RouterID == before.RouterID
}

// ServedBy says whether an established session with the parameters of before, and a peer in peerASN,
// is as good as one with these: they differ in nothing that both sides agree on or that TCP has
// for the connection. What differs takes effect with the next session.
func (p Peer) ServedBy(before Peer, peerASN uint32) bool {
	if p.PeerASN == peerASN || p.PeerASN == 0 && peerASN != p.LocalASN {
		before.PeerASN = p.PeerASN
	}
	before.KeepaliveTime, before.ConnectTime, before.MaxPrefixes = p.KeepaliveTime, p.ConnectTime, p.MaxPrefixes
	if p.EffectiveHoldTime() == before.EffectiveHoldTime() {
		before.HoldTime = p.HoldTime
	}
	if p.OfferedFamilies() == before.OfferedFamilies() {
		before.Families = p.Families
	}
	return p == before
}

// FamilyOf returns the family of a prefix.
func FamilyOf(prefix netip.Prefix) Families {
	if prefix.Addr().Is4() {
		return IPv4
	}
	return IPv6
}
