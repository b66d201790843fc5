package bfd

import "time"

// machine is the local side of a session (RFC 5880, section 6.8): its state, and what it sends
// when. It has no clock. Its user tells it what has arrived and what time it is, and it says what
// to send and when to ask it again.
//
// Its fields are the state variables of RFC 5880, section 6.8.1. That is why there are so many.
type machine struct {
	// What configure was called with.
	configuredTx, configuredRx time.Duration
	multiplier                 uint8
	passive                    bool
	// notUp is the shortest interval at which the session sends unless it is up.
	notUp time.Duration
	// random returns numbers from 0 up to 1.
	random func() float64

	state      State
	diagnostic Diagnostic
	// local is the local discriminator.
	local  uint32
	remote remoteSystem

	// desiredMinTx and requiredMinRx are what the remote system is told.
	desiredMinTx, requiredMinRx time.Duration
	// txInterval and rxInterval are what counts for the timers. They may be the former values of
	// desiredMinTx and requiredMinRx until the remote system has confirmed the new ones.
	txInterval, rxInterval time.Duration
	// polling says that a poll sequence is under way. pollEnding says that the remote system has
	// answered it, and has not sent a packet without the final bit since. No other poll sequence
	// begins until then, so that a late answer to one does not end another (RFC 5880, section
	// 6.8.3).
	polling, pollEnding bool

	// lastSent is when the last periodic packet was sent. jitter is the part of the interval to
	// wait from then.
	lastSent time.Time
	jitter   float64
	// stateChanged says that the state is not the one in the last packet that was sent.
	stateChanged bool
	// finalDue says that a poll of the remote system is to be answered.
	finalDue bool
	// overdue says that the session is up and that a packet should have arrived and has not.
	overdue bool
}

// remoteSystem is what the remote system said in its last packet.
type remoteSystem struct {
	// discriminator is 0 as long as the remote system is not heard.
	discriminator uint32
	state         State
	diagnostic    Diagnostic
	multiplier    uint8
	minTx, minRx  time.Duration
	demand        bool
	// lastReceived is when the packet arrived.
	lastReceived time.Time
}

// notUpInterval is that of RFC 5880, section 6.8.3.
const notUpInterval = time.Second

func newMachine(local uint32, random func() float64) *machine {
	m := &machine{local: local, random: random, notUp: notUpInterval, state: Down, remote: remoteSystem{state: Down}, stateChanged: true}
	m.resetRemote()
	return m
}

// resetRemote forgets the remote system, but for its state and diagnostic (RFC 5880, section 6.8.1).
func (m *machine) resetRemote() {
	m.remote = remoteSystem{state: m.remote.state, diagnostic: m.remote.diagnostic, multiplier: 1, minRx: time.Microsecond}
	m.finalDue = false
	m.polling, m.pollEnding = false, false
}

// configure changes the parameters. A session that is up stays up.
func (m *machine) configure(transmit, receive time.Duration, multiplier uint8, passive bool) {
	m.configuredTx, m.configuredRx, m.multiplier, m.passive = transmit, receive, multiplier, passive
	m.negotiate()
}

// negotiate begins to tell the remote system the present intervals, unless it knows them (RFC 5880,
// section 6.8.3).
func (m *machine) negotiate() {
	desired := m.configuredTx
	if m.state != Up {
		desired = max(desired, m.notUp)
	}
	if desired == m.desiredMinTx && m.configuredRx == m.requiredMinRx {
		return
	}
	if m.state == Up && (m.polling || m.pollEnding) {
		return // handlePacket calls it again when that is over
	}
	m.desiredMinTx, m.requiredMinRx = desired, m.configuredRx
	m.polling = m.remote.discriminator != 0 && m.state != AdminDown
	if m.state != Up || !m.polling {
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
		return
	}
	// A longer interval to send at, and a shorter detection time, must wait until the remote system
	// knows of them.
	m.txInterval = min(m.txInterval, m.desiredMinTx)
	m.rxInterval = max(m.rxInterval, m.requiredMinRx)
}

// setState changes the state.
func (m *machine) setState(s State, d Diagnostic) {
	wasUp := m.state == Up
	m.state, m.stateChanged, m.overdue = s, true, false
	if s != Up {
		m.diagnostic = d
	}
	if wasUp != (s == Up) {
		// What the remote system is told counts at once if the session was not up or is not up any
		// more (RFC 5880, section 6.8.3). A poll sequence that is under way has no purpose any
		// more.
		m.polling, m.pollEnding = false, false
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
		m.negotiate()
	}
}

// setAdminDown ends the session on purpose (RFC 5880, section 6.8.16).
func (m *machine) setAdminDown() { m.setState(AdminDown, AdministrativelyDown) }

// handlePacket handles a packet of the remote system that arrived at a time (RFC 5880, section 6.8.6).
func (m *machine) handlePacket(p packet, arrived time.Time) {
	m.remote = remoteSystem{
		discriminator: p.myDiscriminator, state: p.state, diagnostic: p.diagnostic, multiplier: p.multiplier,
		minTx: p.desiredMinTx, minRx: p.requiredMinRx, demand: p.demand, lastReceived: arrived,
	}
	if p.final && m.polling {
		m.polling, m.pollEnding = false, true
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
	} else if !p.final && m.pollEnding {
		m.pollEnding = false
		m.negotiate()
	}
	m.overdue = false
	if m.state == AdminDown {
		return
	}
	m.finalDue = m.finalDue || p.poll
	switch next, d := transition(m.state, p.state); {
	case next != m.state && next == Down:
		m.setState(Down, d)
	case next != m.state:
		m.setState(next, m.diagnostic)
	}
}

// transition returns the local state that follows when the remote system reports its state, and the
// diagnostic for Down (RFC 5880, section 6.8.6).
func transition(local, remote State) (State, Diagnostic) {
	switch {
	case local == AdminDown:
		return AdminDown, AdministrativelyDown
	case remote == AdminDown && local != Down:
		return Down, NeighborSignaledDown
	case local == Down && remote == Down:
		return Init, NoDiagnostic
	case local == Down && remote == Init, local == Init && (remote == Init || remote == Up):
		return Up, NoDiagnostic
	case local == Up && remote == Down:
		return Down, NeighborSignaledDown
	}
	return local, NoDiagnostic
}

// transmitInterval is the longest time between two periodic packets (RFC 5880, section 6.8.2).
func (m *machine) transmitInterval() time.Duration { return max(m.txInterval, m.remote.minRx) }

// detectionTime is how long the remote system may send nothing (RFC 5880, section 6.8.4).
func (m *machine) detectionTime() time.Duration {
	return time.Duration(m.remote.multiplier) * max(m.rxInterval, m.remote.minTx)
}

// detectionExpiry is when the detection time expires. It is the zero time if the remote system is
// not heard.
func (m *machine) detectionExpiry() time.Time {
	if m.remote.discriminator == 0 {
		return time.Time{}
	}
	return m.remote.lastReceived.Add(m.detectionTime())
}

// overdueAt is when a packet becomes overdue: a quarter of the interval after the last moment at which
// the remote system sends one. It is false unless the session is up and no packet is overdue yet.
func (m *machine) overdueAt() (time.Time, bool) {
	interval := max(m.rxInterval, m.remote.minTx)
	return m.remote.lastReceived.Add(interval + interval/4), m.state == Up && !m.overdue && m.remote.multiplier > 1
}

// settled says whether the session is up on both sides, all has been negotiated, and no packet is overdue.
func (m *machine) settled() bool {
	return m.state == Up && m.remote.state == Up && !m.polling && !m.pollEnding && !m.overdue
}

// checkDetectionTime says whether the detection time has expired. If so, the session goes down. It also
// takes note of a packet that is overdue.
func (m *machine) checkDetectionTime(now time.Time) bool {
	if overdue, may := m.overdueAt(); may && !now.Before(overdue) {
		m.overdue = true
	}
	at := m.detectionExpiry()
	if at.IsZero() || now.Before(at) {
		return false
	}
	m.resetRemote()
	if m.state == Init || m.state == Up {
		m.setState(Down, DetectionTimeExpired)
	}
	return true
}

// waitsPassively says whether the machine has the passive role and waits for the remote system to
// begin (RFC 5880, section 6.1).
func (m *machine) waitsPassively() bool { return m.remote.discriminator == 0 && m.passive }

// periodic says whether packets are sent periodically (RFC 5880, section 6.8.7).
func (m *machine) periodic() bool {
	if m.remote.demand && m.state == Up && m.remote.state == Up {
		return m.polling
	}
	return m.remote.minRx != 0
}

// sendAt is when the next packet is due; false if none is.
func (m *machine) sendAt() (time.Time, bool) {
	switch {
	case m.waitsPassively():
		return time.Time{}, false
	case m.finalDue || m.stateChanged:
		return m.lastSent, true
	}
	return m.lastSent.Add(time.Duration(m.jitter * float64(m.transmitInterval()))), m.periodic()
}

// maySendFrom is from when on the next periodic packet may be sent with those of other sessions: the jitter of RFC 5880, section 6.8.7,
// takes off up to a quarter of the interval. It is false if none is to be sent, or one at once.
func (m *machine) maySendFrom() (time.Time, bool) {
	if m.finalDue || m.stateChanged || m.waitsPassively() || m.multiplier == 1 {
		return time.Time{}, false
	}
	return m.lastSent.Add(m.transmitInterval() * 3 / 4), m.periodic()
}

// sendNow has the next periodic packet due.
func (m *machine) sendNow() { m.jitter = 0.75 }

// nextPacket returns the packet that is due, and counts it as sent; false if none is due.
func (m *machine) nextPacket(now time.Time) (packet, bool) {
	if at, ok := m.sendAt(); !ok || now.Before(at) {
		return packet{}, false
	}
	p := packet{
		diagnostic:        m.diagnostic,
		state:             m.state,
		multiplier:        m.multiplier,
		myDiscriminator:   m.local,
		yourDiscriminator: m.remote.discriminator,
		desiredMinTx:      m.desiredMinTx,
		requiredMinRx:     m.requiredMinRx,
		final:             m.finalDue,
		// Only periodic packets poll (RFC 5880, section 6.5).
		poll: m.polling && !m.finalDue && !m.stateChanged,
	}
	if m.stateChanged || !m.finalDue {
		m.lastSent = now
		m.jitter = 0.75 + 0.25*m.random() // RFC 5880, section 6.8.7
		if m.multiplier == 1 {
			m.jitter = 0.75 + 0.15*m.random() // one late packet is enough for the remote system to go down
		}
	}
	m.finalDue, m.stateChanged = false, false
	return p, true
}

// wakeAt is when there is something to do next if nothing arrives until then; false if there is
// nothing.
func (m *machine) wakeAt() (time.Time, bool) {
	at, ok := m.sendAt()
	if overdue, may := m.overdueAt(); may && (!ok || overdue.Before(at)) {
		at, ok = overdue, true
	}
	if expiry := m.detectionExpiry(); !expiry.IsZero() && (!ok || expiry.Before(at)) {
		return expiry, true
	}
	return at, ok
}
