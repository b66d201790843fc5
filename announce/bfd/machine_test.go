package bfd

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// side is a machine and its clock.
type side struct {
	*machine
	t   testing.TB
	now time.Time
}

// newSide returns a machine that asks for 100 ms x 3 and does not jitter but for what random says.
func newSide(t testing.TB, random float64) *side {
	s := &side{t: t, now: time.Unix(1e9, 0)}
	s.machine = newMachine(1, func() float64 { return random })
	s.configure(100*ms, 100*ms, 3, false)
	return s
}

// always is a random number such that packets are a whole interval apart.
const always = 1.0

// hears has a packet of peer 2 arrive.
func (s *side) hears(state State, change ...func(*packet)) {
	p := packet{state: state, multiplier: 3, myDiscriminator: 2, yourDiscriminator: 1, desiredMinTx: 100 * ms, requiredMinRx: 100 * ms}
	for _, change := range change {
		change(&p)
	}
	s.handlePacket(p, s.now)
}

// sends returns the packets that are due now.
func (s *side) sends() []packet {
	var packets []packet
	for p, ok := s.nextPacket(s.now); ok; p, ok = s.nextPacket(s.now) {
		packets = append(packets, p)
	}
	return packets
}

// wait lets time pass, and returns what is sent meanwhile and when.
func (s *side) wait(d time.Duration) (packets []packet, after []time.Duration) {
	s.t.Helper()
	begin, end := s.now, s.now.Add(d)
	for n := 0; ; n++ {
		at, ok := s.wakeAt()
		if !ok || at.After(end) {
			s.now = end
			return packets, after
		}
		if n > 10_000 {
			s.t.Fatal("the machine does not come to rest")
		}
		if at.After(s.now) {
			s.now = at
		}
		s.checkDetectionTime(s.now)
		for _, p := range s.sends() {
			packets = append(packets, p)
			after = append(after, s.now.Sub(begin))
		}
	}
}

// goUp brings the session up, and ends the poll sequence that follows.
func (s *side) goUp(change ...func(*packet)) {
	s.t.Helper()
	s.sends()
	s.hears(Down, change...)
	s.hears(Init, change...)
	s.sends()
	s.hears(Up, append(change, final)...) // ends the poll
	s.hears(Up, change...)
	if s.state != Up || s.polling || s.pollEnding {
		s.t.Fatalf("the session is not up and at rest: %+v", s.machine)
	}
}

func final(p *packet) { p.final = true }
func poll(p *packet)  { p.poll = true }

// in puts a machine that knows its peer into a state.
func in(t testing.TB, state State) *side {
	s := newSide(t, always)
	switch state {
	case AdminDown:
		s.hears(Down)
		s.setAdminDown()
	case Down:
		s.hears(AdminDown)
	case Init:
		s.hears(Down)
	case Up:
		s.goUp()
	}
	s.sends()
	if s.state != state {
		t.Fatalf("in state %s instead of %s", s.state, state)
	}
	return s
}

func TestEveryStateFollowsTheTableOfTheRFC(t *testing.T) {
	for _, test := range []struct {
		local, remote, want State
		diagnostic          Diagnostic
	}{
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown},
		{AdminDown, Down, AdminDown, AdministrativelyDown},
		{AdminDown, Init, AdminDown, AdministrativelyDown},
		{AdminDown, Up, AdminDown, AdministrativelyDown},
		{Down, AdminDown, Down, NoDiagnostic},
		{Down, Down, Init, NoDiagnostic},
		{Down, Init, Up, NoDiagnostic},
		{Down, Up, Down, NoDiagnostic},
		{Init, AdminDown, Down, NeighborSignaledDown},
		{Init, Down, Init, NoDiagnostic},
		{Init, Init, Up, NoDiagnostic},
		{Init, Up, Up, NoDiagnostic},
		{Up, AdminDown, Down, NeighborSignaledDown},
		{Up, Down, Down, NeighborSignaledDown},
		{Up, Init, Up, NoDiagnostic},
		{Up, Up, Up, NoDiagnostic},
	} {
		s := in(t, test.local)
		s.hears(test.remote)
		if s.state != test.want || s.diagnostic != test.diagnostic {
			t.Errorf("%s hears %s: %s (%s), want %s (%s)", test.local, test.remote, s.state, s.diagnostic, test.want, test.diagnostic)
		}
		if s.remote.state != test.remote {
			t.Errorf("%s hears %s, and takes it for %s", test.local, test.remote, s.remote.state)
		}
		changed := test.want != test.local
		if sent := s.sends(); changed != (len(sent) == 1 && sent[0].state == test.want && sent[0].diagnostic == test.diagnostic && !sent[0].poll) {
			t.Errorf("%s hears %s, and sends at once %+v", test.local, test.remote, sent)
		}
	}
}

func TestASessionGoesDownWhenTheDetectionTimeExpires(t *testing.T) {
	slower := func(p *packet) { p.multiplier, p.desiredMinTx = 5, 200*ms }
	for _, test := range []struct {
		state, want State
		diagnostic  Diagnostic
		change      func(*packet)
		silence     time.Duration
	}{
		{AdminDown, AdminDown, AdministrativelyDown, func(*packet) {}, 300 * ms},
		{Down, Down, NoDiagnostic, func(*packet) {}, 300 * ms},
		{Init, Down, DetectionTimeExpired, func(*packet) {}, 300 * ms},
		{Up, Down, DetectionTimeExpired, func(*packet) {}, 300 * ms},
		{Up, Down, DetectionTimeExpired, slower, time.Second},
		{Up, Down, DetectionTimeExpired, func(p *packet) { p.multiplier, p.desiredMinTx = 1, 10*ms }, 100 * ms}, // no more often than it can receive
	} {
		s := in(t, test.state)
		stay := map[State]State{AdminDown: Up, Down: AdminDown, Init: Down, Up: Up}[test.state]
		s.hears(stay, test.change)
		s.wait(test.silence - time.Microsecond)
		if s.state != test.state || s.remote.discriminator == 0 {
			t.Errorf("%s became %s too early", test.state, s.state)
		}
		s.wait(time.Microsecond)
		if s.state != test.want || s.diagnostic != test.diagnostic || s.remote.discriminator != 0 {
			t.Errorf("%s became %s (%s) with remote discriminator %d, want %s (%s)", test.state, s.state, s.diagnostic, s.remote.discriminator, test.want, test.diagnostic)
		}
	}
}

func TestASessionSendsSlowlyUntilItIsUp(t *testing.T) {
	s := newSide(t, always)
	packets, after := s.wait(3 * time.Second)
	if got, want := fmt.Sprint(after), "[0s 1s 2s 3s]"; got != want {
		t.Errorf("sent after %s, want %s", got, want)
	}
	for _, p := range packets {
		if p.state != Down || p.yourDiscriminator != 0 || p.desiredMinTx != time.Second || p.requiredMinRx != 100*ms || p.poll {
			t.Errorf("sent %+v", p)
		}
	}
	s.hears(Init)
	packets, after = s.wait(250 * ms)
	if got, want := fmt.Sprint(after), "[0s 100ms 200ms]"; got != want {
		t.Errorf("once up, sent after %s, want %s", got, want)
	}
	for n, p := range packets {
		if p.state != Up || p.yourDiscriminator != 2 || p.desiredMinTx != 100*ms || p.poll != (n > 0) {
			t.Errorf("once up, sent as number %d %+v", n, p)
		}
	}
	s.wait(time.Second)
	_, after = s.wait(time.Second + 500*ms)
	if s.state != Down || len(after) != 1 && len(after) != 2 {
		t.Errorf("once %s again, sent after %s", s.state, after)
	}
}

func TestASessionThatIsSlowAnywayDoesNotPollWhenItComesUp(t *testing.T) {
	s := newSide(t, always)
	s.configure(2*time.Second, 100*ms, 3, false)
	s.hears(Init)
	if s.sends(); s.state != Up || s.polling || s.transmitInterval() != 2*time.Second {
		t.Errorf("%+v", s.machine)
	}
}

func TestNoMoreIsSentThanThePeerCanReceive(t *testing.T) {
	s := in(t, Up)
	s.hears(Up, func(p *packet) { p.requiredMinRx, p.desiredMinTx = 300*ms, time.Second })
	s.wait(300 * ms)
	if _, after := s.wait(900 * ms); fmt.Sprint(after) != "[300ms 600ms 900ms]" {
		t.Errorf("sent after %s", after)
	}
}

func TestTheNextPacketIsBroughtForwardWhenThePeerCanReceiveMore(t *testing.T) {
	s := newSide(t, always)
	s.goUp(func(p *packet) { p.requiredMinRx, p.desiredMinTx = time.Second, time.Second })
	s.wait(30 * ms)
	s.hears(Up)
	if _, after := s.wait(100 * ms); fmt.Sprint(after) != "[70ms]" {
		t.Errorf("soon after the last packet, sent after %s", after)
	}

	s = newSide(t, always)
	s.goUp(func(p *packet) { p.requiredMinRx, p.desiredMinTx = time.Second, time.Second })
	s.wait(700 * ms)
	s.hears(Up)
	if _, after := s.wait(100 * ms); fmt.Sprint(after) != "[0s 100ms]" {
		t.Errorf("long after the last packet, sent after %s", after)
	}
}

func TestAPeerThatWantsNoPacketsGetsNone(t *testing.T) {
	none := func(p *packet) { p.requiredMinRx = 0 }
	s := in(t, Up)
	s.hears(Up, none)
	if packets, _ := s.wait(299 * ms); len(packets) > 0 {
		t.Errorf("sent %+v", packets)
	}
	s.hears(Up, none, poll)
	if packets := s.sends(); len(packets) != 1 || !packets[0].final {
		t.Errorf("answered a poll with %+v", packets)
	}
	if s.wait(time.Hour); s.state != Down || s.lastSent.Before(s.now.Add(-time.Second)) {
		t.Errorf("%s, but the peer may be another by now and gets nothing", s.state)
	}
}

func TestAPeerInDemandModeIsPolledAtMost(t *testing.T) {
	demand := func(p *packet) { p.demand = true }
	s := in(t, Up)
	s.hears(Up, demand)
	if packets, _ := s.wait(250 * ms); len(packets) > 0 {
		t.Errorf("sent %+v", packets)
	}
	s.hears(Up, demand)
	s.configure(200*ms, 100*ms, 3, false)
	packets, _ := s.wait(250 * ms)
	if len(packets) == 0 || !packets[0].poll || packets[0].desiredMinTx != 200*ms {
		t.Errorf("polled with %+v", packets)
	}
	s.hears(Up, demand, final)
	if packets, _ := s.wait(250 * ms); len(packets) > 0 {
		t.Errorf("sent after the poll %+v", packets)
	}
	if s.wait(50 * ms); s.state != Down {
		t.Errorf("the peer was silent, but %s", s.state)
	}
}

func TestPollsAreAnsweredAtOnceAndChangeNoSchedule(t *testing.T) {
	s := in(t, Up)
	s.lastSent = s.now
	s.wait(50 * ms)
	s.hears(Up, poll)
	packets, after := s.wait(50 * ms)
	if fmt.Sprint(after) != "[0s 50ms]" || !packets[0].final || packets[0].poll || packets[1].final {
		t.Errorf("sent after %s: %+v", after, packets)
	}
	s.polling = true
	s.hears(Up, poll)
	if p := s.sends()[0]; !p.final || p.poll {
		t.Errorf("poll and final do not go together: %+v", p)
	}
}

// The following is RFC 5880, section 6.8.3.
func TestLessIsSentOnlyOnceThePeerKnows(t *testing.T) {
	s := in(t, Up)
	s.configure(400*ms, 100*ms, 3, false)
	packets, after := s.wait(200 * ms)
	if fmt.Sprint(after) != "[100ms 200ms]" || !packets[0].poll || !packets[1].poll || packets[0].desiredMinTx != 400*ms {
		t.Errorf("polled after %s: %+v", after, packets)
	}
	s.hears(Up, final)
	packets, after = s.wait(250 * ms)
	s.hears(Up)
	more, later := s.wait(250 * ms)
	if packets, after := append(packets, more...), append(after, later...); fmt.Sprint(after) != "[150ms]" || packets[0].poll {
		t.Errorf("then sent after %s: %+v", after, packets)
	}
}

func TestAShorterDetectionTimeCountsOnlyOnceThePeerKnows(t *testing.T) {
	s := newSide(t, always)
	s.configure(100*ms, 200*ms, 3, false)
	s.goUp()
	s.configure(100*ms, 50*ms, 3, false)
	if s.wait(100 * ms); s.detectionTime() != 600*ms || !s.polling {
		t.Errorf("before: %s", s.detectionTime())
	}
	s.hears(Up, final, func(p *packet) { p.desiredMinTx = 50 * ms })
	if s.detectionTime() != 150*ms {
		t.Errorf("after: %s", s.detectionTime())
	}
	s.hears(Up)
	s.configure(100*ms, 400*ms, 3, false)
	if s.detectionTime() != 1200*ms {
		t.Errorf("a longer detection time does not count at once: %s", s.detectionTime())
	}
	s.configure(100*ms, 400*ms, 5, false)
	if s.wait(100 * ms); s.detectionTime() != 1200*ms {
		t.Errorf("the multiplier is that of the peer: %s", s.detectionTime())
	}
}

func TestMoreIsSentAtOnce(t *testing.T) {
	s := in(t, Up)
	s.lastSent = s.now
	s.configure(20*ms, 100*ms, 3, false)
	s.hears(Up, func(p *packet) { p.requiredMinRx = 10 * ms })
	if packets, after := s.wait(40 * ms); fmt.Sprint(after) != "[20ms 40ms]" || !packets[0].poll {
		t.Errorf("sent after %s: %+v", after, packets)
	}
}

func TestAPollIsNotConfirmedByTheAnswerToAnother(t *testing.T) {
	s := in(t, Up)
	s.configure(400*ms, 100*ms, 3, false)
	s.wait(100 * ms)
	s.configure(800*ms, 100*ms, 3, false)
	if p, _ := s.wait(100 * ms); p[0].desiredMinTx != 400*ms || !p[0].poll {
		t.Errorf("during the first poll: %+v", p)
	}
	s.hears(Up, final)
	s.hears(Up, final) // the answer to the second packet of the first poll
	if s.transmitInterval() != 400*ms || s.polling {
		t.Errorf("after the first poll: %+v", s.machine)
	}
	s.hears(Up)
	if !s.polling || s.transmitInterval() != 400*ms || s.desiredMinTx != 800*ms {
		t.Errorf("during the second poll: %+v", s.machine)
	}
	s.hears(Up, final)
	if s.polling || s.transmitInterval() != 800*ms {
		t.Errorf("after the second poll: %+v", s.machine)
	}
}

func TestAPollEndsWithTheSession(t *testing.T) {
	s := in(t, Up)
	s.configure(2*time.Second, 50*ms, 3, false)
	s.wait(100 * ms)
	s.hears(Down)
	if s.polling || s.transmitInterval() != 2*time.Second || s.detectionTime() != 300*ms {
		t.Errorf("%+v", s.machine)
	}
	s.hears(Down)
	s.hears(Init)
	if s.state != Up || s.polling || s.transmitInterval() != 2*time.Second {
		t.Errorf("%+v", s.machine)
	}
}

func TestAPassiveSideLeavesItToThePeerToBegin(t *testing.T) {
	s := newSide(t, always)
	s.configure(100*ms, 100*ms, 3, true)
	if packets, _ := s.wait(time.Minute); len(packets) > 0 {
		t.Errorf("began with %+v", packets)
	}
	s.hears(Down, func(p *packet) { p.yourDiscriminator = 0 })
	if packets := s.sends(); len(packets) != 1 || packets[0].state != Init {
		t.Errorf("answered %+v", packets)
	}
	s.hears(Up)
	if packets, _ := s.wait(299 * ms); len(packets) != 3 || s.state != Up {
		t.Errorf("sent %+v", packets)
	}
	if packets, _ := s.wait(time.Minute); len(packets) > 0 || s.state != Down {
		t.Errorf("%s, and goes on with %+v", s.state, packets)
	}
	s.configure(100*ms, 100*ms, 3, false)
	if packets := s.sends(); len(packets) != 1 {
		t.Errorf("not passive any more, and sends %+v", packets)
	}
}

func TestASessionThatIsAdminDownSaysSoSlowly(t *testing.T) {
	s := in(t, Up)
	s.setAdminDown()
	packets, after := s.wait(2 * time.Second)
	if fmt.Sprint(after) != "[0s 1s 2s]" {
		t.Errorf("sent after %s", after)
	}
	for _, p := range packets {
		if p.state != AdminDown || p.diagnostic != AdministrativelyDown || p.desiredMinTx != time.Second {
			t.Errorf("sent %+v", p)
		}
	}
	s.hears(Up, poll)
	if packets := s.sends(); len(packets) > 0 {
		t.Errorf("a packet is to be discarded, but was answered: %+v", packets)
	}
}

func TestPacketsAreSpacedAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64Range(0, 1).Filter(func(f float64) bool { return f < 1 })
		multiplier := rapid.Uint8Range(1, 4).Draw(t, "multiplier")
		s := &side{t: nil, now: time.Unix(1e9, 0)}
		s.machine = newMachine(1, func() float64 { return number.Draw(t, "random") })
		s.configure(100*ms, 100*ms, multiplier, false)
		s.hears(Init)
		s.sends()
		s.hears(Up, final)
		longest := 100 * ms
		if multiplier == 1 {
			longest = 90 * ms
		}
		for range 20 {
			s.hears(Up)
			before := s.now
			at, _ := s.wakeAt()
			s.now = at
			if gap := at.Sub(before); gap < 75*ms || gap > longest || len(s.sends()) != 1 {
				t.Fatalf("%s between packets", gap)
			}
		}
	})
}
