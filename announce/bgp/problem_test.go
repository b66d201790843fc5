package bgp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestNotificationsHaveNames(t *testing.T) {
	for _, test := range []struct {
		code, subcode uint8
		want          string
	}{
		{4, 0, "Hold Timer Expired"},
		{2, 2, "OPEN Message Error/Bad Peer AS"},
		{6, 10, "Cease/BFD Down"},
		{3, 1, "UPDATE Message Error/1"},
		{99, 0, "99"},
		{99, 98, "99/98"},
	} {
		if got := (Notification{Code: test.code, Subcode: test.subcode}).Name(); got != test.want {
			t.Errorf("%d/%d is named %q, want %q", test.code, test.subcode, got, test.want)
		}
	}
}

// TestProblemsAreSentencesAndSummaries holds what people read, and what stays the same whenever it
// happens.
func TestProblemsAreSentencesAndSummaries(t *testing.T) {
	cease := Notification{Code: 6, Subcode: 2}
	said := cease
	said.Reason = "back at 12:30, or: at 13:00"
	router := netip.MustParseAddr("10.0.0.1")
	for _, test := range []struct {
		problem           Problem
		sentence, summary string // an empty summary is the sentence
	}{
		{Problem{}, "", ""},
		{Problem{Kind: InvalidPeer, Detail: "the router ID 0.0.0.0 does not have the form of an IPv4 address"},
			"the router ID 0.0.0.0 does not have the form of an IPv4 address", "the session cannot be had as it is wanted"},
		{Problem{Kind: NoRouterAdvertisement, Detail: "eth0"}, "no router has advertised itself on eth0: does the router send router advertisements there?", "no router has advertised itself"},
		{Problem{Kind: NoConnection, Detail: "dial tcp 10.0.0.2:40123->10.0.0.1:179: connect: connection refused"},
			"no connection: dial tcp 10.0.0.2:40123->10.0.0.1:179: connect: connection refused: does the router run BGP at this address and port, and know this node as a neighbor?", "no connection"},
		{Problem{Kind: ClosedBeforeOpen}, "the router closed the connection before it said anything: does it know this node's address?",
			"the router closed the connection before it said anything"},
		{Problem{Kind: NoOpen}, "the router accepts connections and says nothing: does it know this node's address?", "the router accepts connections and says nothing"},
		{Problem{Kind: Refused, Notification: Notification{Code: 2, Subcode: 2}},
			"the router refused the session: OPEN Message Error/Bad Peer AS: does it expect this autonomous system from this address?",
			"the router refused the session: OPEN Message Error/Bad Peer AS"},
		{Problem{Kind: Refused, Notification: Notification{Code: 2, Subcode: 11}}, "the router refused the session: OPEN Message Error/Role Mismatch", ""},
		{Problem{Kind: ClosedAfterOpen}, "the router closed the connection after its OPEN without a word", ""},
		{Problem{Kind: UnexpectedASN, ASN: 65002, ExpectedASN: 65001}, "the router is in autonomous system 65002, and 65001 was expected: correct peerASN of the BGPPeer, or the router",
			"the router is in another autonomous system than expected"},
		{Problem{Kind: UnacceptableHoldTime, Detail: "0 s"}, "the router asks for a hold time that is too short: 0 s, of at least 3s: raise it at the router",
			"the router asks for a hold time that is too short"},
		{Problem{Kind: PasswordSuspected, Detail: "dial tcp 10.0.0.1:179: i/o timeout"},
			"no connection: dial tcp 10.0.0.1:179: i/o timeout: does the router have the same password?",
			"no connection, perhaps because of the password"},
		{Problem{Kind: ClosedBeforeOpen}.After(said),
			`the router closed the connection before it said anything; before that, it had said: Cease/Administrative Shutdown, "back at 12:30, or: at 13:00"`,
			"the router closed the connection before it said anything"},
		{Problem{Kind: LocalAddressGone, Address: router}, "this node does not have the address of the session any more: 10.0.0.1",
			"this node does not have the address of the session any more"},
		{Problem{Kind: NotificationReceived, Notification: Notification{Code: 99, Subcode: 98}}, "the router closed the session: 99/98",
			"the router closed the session: unknown error"},
		{Problem{Kind: NotificationReceived, Notification: Notification{Code: 3, Subcode: 98}}, "the router closed the session: UPDATE Message Error/98",
			"the router closed the session: UPDATE Message Error"},
		{Problem{Kind: UnexpectedInternal}, "the router is in the autonomous system of this node and was to be in another one: correct peerASN or dynamicASN of the BGPPeer", "the router is in the autonomous system of this node and was to be in another one"},
		{Problem{Kind: NotificationReceived, Notification: said},
			`the router closed the session: Cease/Administrative Shutdown, "back at 12:30, or: at 13:00"`,
			"the router closed the session: Cease/Administrative Shutdown"},
		{Problem{Kind: NotificationReceived, Notification: cease}, "the router closed the session: Cease/Administrative Shutdown", ""},
		{Problem{Kind: NotificationSent, Notification: Notification{Code: 2, Subcode: 2}},
			"sent to the router: OPEN Message Error/Bad Peer AS", ""},
		{Problem{Kind: MalformedMessage, Detail: "length 7"}, "the router sent something malformed: length 7", "the router sent something malformed"},
		{Problem{Kind: PrefixLimit}, "the router sent more routes than it may: raise maxPrefixes of the BGPPeer, or have the router send fewer", "the router sent more routes than it may"},
		{Problem{Kind: HoldTimerExpired}, "the router fell silent: hold time expired: is the way between them broken, or one of them overloaded?", "the router fell silent"},
		{Problem{Kind: SendHoldTimerExpired}, "the router does not read what it is sent", ""},
		{Problem{Kind: ConnectionClosed}, "the router closed the connection without a word", ""},
		{Problem{Kind: ConnectionBroken}, "the connection broke", ""},
		{Problem{Kind: SessionLost}, "the session was lost", ""},
		{Problem{Kind: NoNextHop, Families: IPv6, Address: router},
			"IPv6 routes have no next hop: the interface towards 10.0.0.1 has no such address: give it one", "IPv6 routes have no next hop"},
		{Problem{Kind: NoConnection, Detail: "dial tcp 10.0.0.1:179: i/o timeout"},
			"no connection: dial tcp 10.0.0.1:179: i/o timeout: are the address and the way to the router right? One that is on no network of the node needs ebgpMultiHop",
			"no connection"},
		{Problem{Kind: NotificationReceived, Notification: Notification{Code: 6, Subcode: 1}},
			"the router closed the session: Cease/Maximum Number of Prefixes Reached: raise the limit at the router, or announce fewer prefixes (aggregationLength)",
			"the router closed the session: Cease/Maximum Number of Prefixes Reached"},
		{Problem{Kind: NotificationSent, Notification: Notification{Code: 6, Subcode: 1}}, "sent to the router: Cease/Maximum Number of Prefixes Reached", ""},
		{Problem{Kind: BFDAwaited}, "BFD comes first", ""},
		{Problem{Kind: BFDAwaitedAfterRestart}, "BFD comes first, since the router may not have noticed the restart", ""},
		{Problem{Kind: BFDNotUp}, "BFD is not up yet", ""},
		{Problem{Kind: BFDNotUp, Detail: "the router sends no BFD packets"}, "BFD is not up: the router sends no BFD packets", "BFD is not up"},
		{Problem{Kind: BFDSilent, Silence: 311700 * time.Microsecond}, "BFD heard nothing from the router for 312ms", "BFD heard nothing from the router"},
		{Problem{Kind: BFDSignaledDown, Detail: "control detection time expired"},
			"BFD of the router went down: control detection time expired", "BFD of the router went down"},
		{Problem{Kind: StartFailed, Detail: "no"}, "start GoBGP: no", "start GoBGP"},
		{Problem{Kind: DialFailed, Address: router, Detail: "no"}, "dial 10.0.0.1: no", "dial"},
		{Problem{Kind: AnnounceFailed, Detail: "no"}, "announce routes: no", "announce routes"},
		{Problem{Kind: WithdrawFailed, Detail: "no"}, "withdraw routes: no", "withdraw routes"},
	} {
		if test.summary == "" {
			test.summary = test.sentence
		}
		if got := test.problem.String(); got != test.sentence {
			t.Errorf("the sentence of %+v is %q, want %q", test.problem, got, test.sentence)
		}
		if got := test.problem.Summary(); got != test.summary {
			t.Errorf("the summary of %+v is %q, want %q", test.problem, got, test.summary)
		}
	}
}

func TestNotificationsAreReadWithWhatTheyCarry(t *testing.T) {
	for _, test := range []struct {
		code, subcode uint8
		data          string
		want          string
	}{
		{6, 2, "\x14maintenance of tor-1", `Cease/Administrative Shutdown, "maintenance of tor-1"`},
		{6, 4, "\x03a\n\xff", `Cease/Administrative Reset, "a ?"`},
		{6, 2, "\xffshort", "Cease/Administrative Shutdown"},
		{6, 2, "\x06short", "Cease/Administrative Shutdown"},
		{6, 2, "", "Cease/Administrative Shutdown"},
		{6, 9, "\x06\x02\x05later", `Cease/Hard Reset (Cease/Administrative Shutdown), "later"`},
		{6, 9, "\x06\x02", "Cease/Hard Reset (Cease/Administrative Shutdown)"},
		{6, 9, "\x06", "Cease/Hard Reset"},
		{6, 9, "", "Cease/Hard Reset"},
		{2, 7, "\x41\x04\x00\x00\xfd\xe9\x63\x00", "OPEN Message Error/Unsupported Capability (4-octet AS Number, capability 99)"},
		{2, 7, "\x01\xff", "OPEN Message Error/Unsupported Capability (Multiprotocol)"},
		{2, 11, "", "OPEN Message Error/Role Mismatch"},
	} {
		if got := ReadNotification(test.code, test.subcode, []byte(test.data)).String(); got != test.want {
			t.Errorf("%d/%d with %q is %s, want %s", test.code, test.subcode, test.data, got, test.want)
		}
	}
}

func TestWhatARouterSaidBeforeIsToldWhereTheProblemSaysLess(t *testing.T) {
	bare := Notification{Code: 6, Subcode: 2}
	reasoned := bare
	reasoned.Reason = "maintenance"
	for _, test := range []struct {
		name    string
		problem Problem
		said    Notification
		want    Notification
	}{
		{"no connection", Problem{Kind: NoConnection}, bare, bare},
		{"a refusal without a reason", Problem{Kind: Refused, Notification: bare}, reasoned, reasoned},
		{"a refusal without a reason, as before", Problem{Kind: Refused, Notification: bare}, bare, Notification{}},
		{"a refusal with a reason of its own", Problem{Kind: NotificationReceived, Notification: reasoned}, reasoned, Notification{}},
		{"what is none of the router's", Problem{Kind: NoNextHop}, reasoned, Notification{}},
	} {
		if got := test.problem.After(test.said).LastWord; got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWhatFailsInThisProgramIsNoFaultOfTheRouter(t *testing.T) {
	internal := []ProblemKind{StartFailed, DialFailed, AnnounceFailed, WithdrawFailed}
	for _, kind := range append(internal, InvalidPeer, NoConnection, Refused, NotificationReceived, ConnectionBroken, NoNextHop, BFDSilent) {
		if got, want := (Problem{Kind: kind}).Internal(), slices.Contains(internal, kind); got != want {
			t.Errorf("%q: internal is %t, want %t", Problem{Kind: kind}.Summary(), got, want)
		}
	}
}
