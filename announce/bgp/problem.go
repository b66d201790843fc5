package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Problem is what went wrong with a session, or is wrong with one that there is. The zero Problem
// is none. It can be compared with ==. Which fields are set besides Kind depends on that. String is
// the sentence for people.
type Problem struct {
	Kind ProblemKind
	// Notification is what was said in one that was sent or received.
	Notification Notification
	// Detail is in somebody else's words: what an error says.
	Detail string
	// Families are those that have no next hop on the interface towards Address, or that the peer
	// does not carry.
	Families Families
	Address  netip.Addr
	// Silence is how long BFD had heard nothing.
	Silence time.Duration
	// ASN is the autonomous system that the peer is in, and ExpectedASN the one that it was to be in.
	ASN, ExpectedASN uint32
	// LastWord is what the peer said when it ended an earlier session, or refused one, if there has
	// been none since: it may explain what is only a guess otherwise.
	LastWord Notification
}

// ProblemKind is what sort of thing went wrong. There are few, and decisions are made on them.
type ProblemKind uint8

// The kinds, with what they have besides.
const (
	NoProblem ProblemKind = iota
	// InvalidPeer is a Peer that cannot be honoured. Detail says why.
	InvalidPeer
	// NoRouterAdvertisement is an unnumbered peer that has not been found. Detail is the interface.
	NoRouterAdvertisement

	// NoConnection is a TCP connection that could not be made. Detail says why.
	NoConnection
	// PasswordSuspected is one that nobody has answered, on which a password was used. Detail says
	// what was seen.
	PasswordSuspected
	// ClosedBeforeOpen is a peer that closed the connection before it sent an OPEN.
	ClosedBeforeOpen
	// NoOpen is a peer that accepted the connection and sent nothing.
	NoOpen
	// ClosedAfterOpen is one that closed it after its OPEN, without a NOTIFICATION.
	ClosedAfterOpen
	// Refused is a peer that did not want the session. Notification says why.
	Refused
	// UnexpectedInternal is a peer in this node's own autonomous system that was to be in any other
	// one, and UnexpectedASN a peer in ASN instead of ExpectedASN.
	UnexpectedInternal
	UnexpectedASN
	// BadIdentifier is a peer with the BGP Identifier Address, which is none or that of this node.
	BadIdentifier
	// UnacceptableHoldTime is a peer that asks for Detail.
	UnacceptableHoldTime

	// NotificationSent and NotificationReceived are of a session that this side or the peer closed.
	NotificationSent
	NotificationReceived
	// MalformedMessage is one that the peer sent. Detail says what about it.
	MalformedMessage
	// PrefixLimit is a peer that sent more routes than it may.
	PrefixLimit
	// HoldTimerExpired is a peer that fell silent (RFC 4271, section 6.5), and SendHoldTimerExpired
	// one that does not read (RFC 9687).
	HoldTimerExpired
	SendHoldTimerExpired
	// ConnectionClosed is a peer that closed the connection without a NOTIFICATION, and
	// ConnectionBroken one that could not be written to.
	ConnectionClosed
	ConnectionBroken
	// LocalAddressGone is a session from Address, which this node does not have any more.
	LocalAddressGone
	// SessionLost is the end of a session of which nothing more is known.
	SessionLost

	// NoNextHop is of a session that works, but for Families, and NotCarried of one in which the peer
	// has not offered them (RFC 4760).
	NoNextHop
	NotCarried

	// BFDAwaited is a session that waits for BFD, and BFDAwaitedAfterRestart one that does because
	// of a restart.
	BFDAwaited
	BFDAwaitedAfterRestart
	// BFDNotUp is one that waits for BFD, which does not come up. Detail says why, if that is known.
	BFDNotUp
	// BFDSilent is a path on which BFD heard nothing for the time Silence, and BFDSignaledDown one
	// that the peer's BFD found dead. Detail is its diagnostic.
	BFDSilent
	BFDSignaledDown

	// StartFailed, DialFailed, AnnounceFailed and WithdrawFailed are faults of this program. Detail
	// says what happened.
	StartFailed
	DialFailed
	AnnounceFailed
	WithdrawFailed
)

// summaries are the sentences without what differs from one time to the next.
var summaries = map[ProblemKind]string{
	InvalidPeer:            "the session cannot be had as it is wanted",
	NoRouterAdvertisement:  "no router has advertised itself",
	NoConnection:           "no connection",
	PasswordSuspected:      "no connection, perhaps because of the password",
	ClosedBeforeOpen:       "the router closed the connection before it said anything",
	NoOpen:                 "the router accepts connections and says nothing",
	ClosedAfterOpen:        "the router closed the connection after its OPEN without a word",
	UnexpectedInternal:     "the router is in the autonomous system of this node and was to be in another one",
	UnexpectedASN:          "the router is in another autonomous system than expected",
	BadIdentifier:          "the router has a BGP Identifier that it cannot have",
	UnacceptableHoldTime:   "the router asks for a hold time that is too short",
	MalformedMessage:       "the router sent something malformed",
	PrefixLimit:            "the router sent more routes than it may",
	HoldTimerExpired:       "the router fell silent",
	SendHoldTimerExpired:   "the router does not read what it is sent",
	ConnectionClosed:       "the router closed the connection without a word",
	ConnectionBroken:       "the connection broke",
	LocalAddressGone:       "this node does not have the address of the session any more",
	SessionLost:            "the session was lost",
	BFDAwaited:             "BFD comes first",
	BFDAwaitedAfterRestart: "BFD comes first, since the router may not have noticed the restart",
	BFDSilent:              "BFD heard nothing from the router",
	BFDSignaledDown:        "BFD of the router went down",
	StartFailed:            "start GoBGP",
	DialFailed:             "dial",
	AnnounceFailed:         "announce routes",
	WithdrawFailed:         "withdraw routes",
}

// Summary is the sentence without what differs from one time to the next and what others may say
// as they like, so that there are few: it is the value of a label of a metric. It is empty if there
// is no problem.
func (p Problem) Summary() string {
	switch p.Kind {
	case Refused:
		return "the router refused the session: " + p.Notification.Class()
	case NotificationSent:
		return "sent to the router: " + p.Notification.Class()
	case NotificationReceived:
		return "the router closed the session: " + p.Notification.Class()
	case NoNextHop:
		return p.Families.String() + " routes have no next hop"
	case NotCarried:
		return "the router does not carry " + p.Families.String() + " unicast in this session"
	case BFDNotUp:
		if p.Detail == "" {
			return "BFD is not up yet"
		}
		return "BFD is not up"
	}
	return summaries[p.Kind]
}

// Internal says whether it is a fault of this program, and neither of the peer nor of the network.
func (p Problem) Internal() bool {
	return p.Kind == StartFailed || p.Kind == DialFailed || p.Kind == AnnounceFailed || p.Kind == WithdrawFailed
}

// String is the whole sentence. It is empty if there is no problem.
func (p Problem) String() string {
	if p.LastWord != (Notification{}) {
		return p.sentence() + "; before that, it had said: " + p.LastWord.String()
	}
	if hint := p.hint(); hint != "" {
		return p.sentence() + ": " + hint
	}
	return p.sentence()
}

// sentence is what happened, without what may be the matter.
func (p Problem) sentence() string {
	summary := p.Summary()
	switch p.Kind {
	case InvalidPeer:
		return p.Detail
	case NoRouterAdvertisement:
		return summary + " on " + p.Detail
	case DialFailed:
		return fmt.Sprintf("dial %s: %s", p.Address, p.Detail)
	case Refused:
		return "the router refused the session: " + p.Notification.String()
	case NotificationSent:
		return "sent to the router: " + p.Notification.String()
	case NotificationReceived:
		return "the router closed the session: " + p.Notification.String()
	case UnexpectedASN:
		return fmt.Sprintf("the router is in autonomous system %d, and %d was expected", p.ASN, p.ExpectedASN)
	case BadIdentifier, LocalAddressGone:
		return fmt.Sprintf("%s: %s", summary, p.Address)
	case UnacceptableHoldTime:
		return fmt.Sprintf("%s: %s, of at least %s", summary, p.Detail, MinHoldTime)
	case HoldTimerExpired:
		return summary + ": hold time expired"
	case NoNextHop:
		return fmt.Sprintf("%s: the interface towards %s has no such address", summary, p.Address)
	case NotCarried:
		return summary + ": activate that address family for the node at the router, or have another BGPPeer carry it"
	case BFDSilent:
		return fmt.Sprintf("%s for %s", summary, p.Silence.Round(time.Millisecond))
	case PasswordSuspected:
		return "no connection: " + p.Detail
	case NoConnection, MalformedMessage, BFDSignaledDown, BFDNotUp, StartFailed, AnnounceFailed, WithdrawFailed:
		if p.Detail != "" {
			return summary + ": " + p.Detail
		}
	}
	return summary
}

// hints are what may be the matter, or what helps, where that is the same whenever it happens.
var hints = map[ProblemKind]string{
	NoRouterAdvertisement: "does the router send router advertisements there?",
	PasswordSuspected:     "does the router have the same password?",
	ClosedBeforeOpen:      "does it know this node's address?",
	NoOpen:                "does it know this node's address?",
	UnexpectedInternal:    "correct peerASN or dynamicASN of the BGPPeer",
	UnexpectedASN:         "correct peerASN of the BGPPeer, or the router",
	BadIdentifier:         "give one of the two another router ID",
	UnacceptableHoldTime:  "raise it at the router",
	PrefixLimit:           "raise maxPrefixes of the BGPPeer, or have the router send fewer",
	HoldTimerExpired:      "is the way between them broken, or one of them overloaded?",
	NoNextHop:             "give it one",
}

// hint is what may be the matter, or what helps; empty if nothing is known.
func (p Problem) hint() string {
	switch {
	case p.Kind == NoConnection && strings.Contains(p.Detail, "refused"):
		return "does the router run BGP at this address and port, and know this node as a neighbor?"
	case p.Kind == NoConnection:
		return "are the address and the way to the router right? One that is on no network of the node needs ebgpMultiHop"
	case p.Kind == Refused && p.Notification.Code == codeOpenError && p.Notification.Subcode == subcodeBadPeerAS:
		return "does it expect this autonomous system from this address?"
	case p.Kind != NotificationSent && p.Notification.Code == codeCease && p.Notification.Subcode == subcodeMaximumPrefixes:
		return "raise the limit at the router, or announce fewer prefixes (aggregationLength)"
	}
	return hints[p.Kind]
}

// After returns the problem with what the peer had said before, if that says more than the problem.
func (p Problem) After(said Notification) Problem {
	switch p.Kind {
	case NoConnection, PasswordSuspected, ClosedBeforeOpen, NoOpen, ClosedAfterOpen, NoRouterAdvertisement:
		p.LastWord = said
	case Refused, NotificationReceived:
		if p.Notification.Reason == "" && said.Reason != "" {
			p.LastWord = said
		}
	}
	return p
}
