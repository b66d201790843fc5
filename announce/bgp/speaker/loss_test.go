package speaker

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/announce/bgp"
)

func TestASessionIsLostWithItsOwnAddress(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set(prefixA)
		local := netip.MustParseAddr("192.0.2.2")
		s.happen(event{state: bgp.OpenConfirm, negotiated: negotiated{local: local, peerASN: 65001, families: bgp.IPv4, gracefulRestart: true}}, event{state: bgp.Established})
		s.take()
		s.addressGone(netip.MustParseAddr("192.0.2.3"))
		s.did("with another address")
		s.addressGone(local)
		s.did("with its own", "close")
		s.is("with its own", bgp.Idle, bgp.Problem{Kind: bgp.LocalAddressGone, Address: local})
	})
}

func TestWhatARouterSaidStaysBesideWhatIsAGuess(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		said := bgp.Notification{Code: 6, Subcode: 2, Reason: "maintenance of tor-1"}
		s.set()
		s.establish(false)
		s.happen(event{problem: bgp.Problem{Kind: bgp.NotificationReceived, Notification: said}}, event{state: bgp.Idle})
		s.is("at first", bgp.Idle, bgp.Problem{Kind: bgp.NotificationReceived, Notification: said})
		time.Sleep(minIdleHold)
		synctest.Wait()
		s.happen(event{state: bgp.OpenSent}, event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ClosedBeforeOpen}})
		s.is("when it closes connections", bgp.Connect, bgp.Problem{Kind: bgp.ClosedBeforeOpen, LastWord: said})
		time.Sleep(s.peer.EffectiveConnectTime())
		synctest.Wait()
		rejected := bgp.Notification{Code: 6, Subcode: 5}
		s.happen(event{state: bgp.OpenSent}, event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.Refused, Notification: rejected}})
		s.is("when it says less", bgp.Connect, bgp.Problem{Kind: bgp.Refused, Notification: rejected, LastWord: said})
		time.Sleep(s.peer.EffectiveConnectTime())
		synctest.Wait()
		s.establish(false)
		s.is("when there is a session", bgp.Established, bgp.Problem{})
		s.happen(event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ConnectionClosed}})
		time.Sleep(2 * minIdleHold)
		synctest.Wait()
		s.happen(event{state: bgp.OpenSent}, event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ClosedBeforeOpen}})
		s.is("after that", bgp.Connect, bgp.Problem{Kind: bgp.ClosedBeforeOpen})
	})
}

func TestANotificationThatIsToldOfBeforeTheSessionExplainsItsEnd(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		received := bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 2, Reason: "later"}}
		s.happen(event{problem: received})
		s.establish(false)
		s.happen(event{state: bgp.Idle})
		s.is("when it is lost", bgp.Idle, received)
	})
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		s.establish(false)
		received := bgp.Problem{Kind: bgp.NotificationReceived, Notification: bgp.Notification{Code: 6, Subcode: 1}}
		s.happen(event{problem: received}, event{state: bgp.Idle, problem: bgp.Problem{Kind: bgp.ConnectionBroken}})
		s.is("when the connection breaks by it", bgp.Idle, received)
	})
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.set()
		s.happen(event{problem: bgp.Problem{Kind: bgp.NoConnection, Detail: "at first"}})
		s.establish(false)
		s.happen(event{state: bgp.Idle})
		s.is("when it is lost and nobody says why", bgp.Idle, bgp.Problem{Kind: bgp.SessionLost})
	})
}

func TestAPeerThatDoesNotReadIsGivenUpAfterTheHoldTime(t *testing.T) {
	onNetwork(t, false, func(s *fakeSpeaker) {
		s.peer.HoldTime = 20 * time.Second
		s.set(prefixA)
		s.establish(false)
		s.read(1)
		time.Sleep(time.Minute)
		s.is("one that reads", bgp.Established, bgp.Problem{})
		s.set(prefixA, prefixB)
		s.take()
		time.Sleep(20 * time.Second)
		s.is("one that does not, before it is time", bgp.Established, bgp.Problem{})
		time.Sleep(2 * recheckInterval)
		if got := status(s.Speaker, "tor"); got.Flaps != 1 || got.Problem.Kind != bgp.SendHoldTimerExpired {
			t.Errorf("it is not given up: %+v", got)
		}
		if did := s.take(); did[0] != "close" {
			t.Errorf("it did %q", did)
		}
	})
}
