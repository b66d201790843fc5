package speaker

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// TestWhatARouterSaysInsteadOfAcceptingIsTold has routers that do not want the session, or that
// this node does not want one with.
func TestWhatARouterSaysInsteadOfAcceptingIsTold(t *testing.T) {
	t.Parallel()
	notify := func(code, subcode uint8, data ...byte) []byte {
		return message(gobgp.BGP_MSG_NOTIFICATION, append([]byte{code, subcode}, data...))
	}
	tests := []struct {
		answer []byte
		want   string
		told   [2]uint8 // zero is nothing
	}{
		{notify(2, 11), "the router refused the session: OPEN Message Error/Role Mismatch", [2]uint8{}},
		{notify(2, 7, 9, 1, 3), "the router refused the session: OPEN Message Error/Unsupported Capability (BGP Role)", [2]uint8{}},
		{notify(6, 2, []byte("\x14maintenance of tor-1")...), `the router refused the session: Cease/Administrative Shutdown, "maintenance of tor-1"`, [2]uint8{}},
		{append(openOf(90, does4(), asn4()), notify(2, 2)...),
			"the router refused the session: OPEN Message Error/Bad Peer AS: does it expect this autonomous system from this address?", [2]uint8{}},
		{openOf(90, does4(), gobgp.NewCapFourOctetASNumber(65007)), "the router is in autonomous system 65007, and 65001 was expected: correct peerASN of the BGPPeer, or the router", [2]uint8{2, 2}},
		{openOf(0, does4(), asn4()), "the router asks for a hold time that is too short: 0 s, of at least 3s: raise it at the router", [2]uint8{2, 6}},
		{openOf(2, does4(), asn4()), "the router asks for a hold time that is too short: 2 s, of at least 3s: raise it at the router", [2]uint8{2, 6}},
		{message(gobgp.BGP_MSG_KEEPALIVE, nil), "the router sent something malformed: a message of type 4, which was not its turn", [2]uint8{5, 1}},
	}
	var serve []func(net.Conn)
	told := make([]chan [2]uint8, len(tests))
	for i, test := range tests {
		told[i] = make(chan [2]uint8, 1)
		serve = append(serve, func(conn net.Conn) {
			if _, err := readMessage(conn); err != nil {
				return
			}
			conn.Write(test.answer)
			for {
				m, err := hear(conn)
				if err != nil {
					return
				}
				if n, ok := m.Body.(*gobgp.BGPNotification); ok {
					select {
					case told[i] <- [2]uint8{n.ErrorCode, n.ErrorSubcode}:
					default:
					}
				}
			}
		})
	}
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(stubs(t, serve...), nil)
	for i, test := range tests {
		name := fmt.Sprintf("stub-%d", i)
		eventually(t, test.want, func() (bool, any) {
			p := status(s, name)
			return p.Problem.String() == test.want, p.Problem.String()
		})
		if test.told != [2]uint8{} {
			if got := <-told[i]; got != test.told {
				t.Errorf("%s: the router was told %v, want %v", test.want, got, test.told)
			}
		}
		if p := status(s, name); p.Flaps != 0 || p.Updates != 0 {
			t.Errorf("%s: %+v", test.want, p)
		}
	}
}

func TestTheWordsOfARouterThatIsInMaintenanceStay(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain("neighbor NODE timers 10 30")...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.HoldTime = 30 * time.Second
	s.Set(alone(p), nil)
	established(t, s, "tor")
	r.configure("router bgp 65001", r.name("neighbor NODE shutdown message maintenance of tor-1"))
	const words = `Cease/Administrative Shutdown, "maintenance of tor-1"`
	refused(t, s, "tor", words)
	// It accepts connections and closes them.
	eventually(t, "a guess beside its words", func() (bool, any) {
		p := status(s, "tor").Problem
		return p.Kind != bgp.NotificationReceived && strings.HasSuffix(p.String(), "; before that, it had said: "+words), p.String()
	})
	r.configure("router bgp 65001", r.name("no neighbor NODE shutdown"))
	established(t, s, "tor")
}

func TestARelayTakesNobodyButItsGoBGP(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	r, err := listenRelay(secret)
	must(t, err)
	defer r.close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", r.address().String())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial() // which says nothing
	stranger := dial()
	if _, err := stranger.Write(openOf(90, does4())); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("a stranger is answered")
	}
	open, err := gobgp.NewBGPOpenMessage(65000, 90, secret, nil)
	must(t, err)
	must(t, writeMessage(dial(), open))
	conn, _, err := r.gobgp(t.Context())
	must(t, err)
	// To dial proves nothing: another relay may have the port by now.
	if _, err := r.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it still listens: %v", err)
	}
	conn.Close()
}
