package bfd

import "time"

// machine is one side of a session (RFC 5880, section 6.8): its state, and what it sends when. It has no clock: it is told what
// arrived and what time it is, and says what to send and when to ask it again.
type machine struct {
	// transmit, receive and multiplier are what is wanted; set them with configure.
	configuredTx, configuredRx time.Duration
	multiplier                 uint8
	passive                    bool
	// random returns numbers from 0 up to 1.
	random func() float64

	state      State
	diagnostic Diagnostic
	// local and remote are the discriminators; remote is 0 while the neighbour is not heard.
	local, remote uint32

	// What the neighbour said last.
	remoteState              State
	remoteDiagnostic         Diagnostic
	remoteMultiplier         uint8
	remoteMinTx, remoteMinRx time.Duration
	remoteDemand             bool

	// desiredMinTx and requiredMinRx are what the neighbour is told. It may have to confirm them before they count here: txInterval and
	// rxInterval do.
	desiredMinTx, requiredMinRx time.Duration
	txInterval, rxInterval      time.Duration
	// polling is while the neighbour is asked to confirm, and settling from then on until it has sent a packet that is no confirmation,
	// so that one poll is not confirmed by the answer to another (RFC 5880, section 6.8.3).
	polling, pollEnding bool

	// lastReceived is when the last packet of the neighbour came; zero as long as remote is.
	lastReceived time.Time
	// lastSent is when the last packet left, and share the part of the interval to wait from then.
	lastSent time.Time
	jitter   float64
	// stateChanged says that the state is another one than in the last packet that was sent, and answer that the neighbour has polled since.
	stateChanged, finalDue bool
}

// notUpInterval is how fast a session may send at most until it is up.
const notUpInterval = time.Second

func newMachine(local uint32, random func() float64) *machine {
	m := &machine{local: local, random: random, state: Down, remoteState: Down, stateChanged: true}
	m.resetRemote()
	return m
}

// resetRemote is that nothing is known of the neighbour any more, but for what it said about its state.
func (m *machine) resetRemote() {
	m.remote, m.lastReceived = 0, time.Time{}
	m.remoteMultiplier, m.remoteMinTx, m.remoteMinRx = 1, 0, time.Microsecond
	m.remoteDemand, m.finalDue = false, false
	m.polling, m.pollEnding = false, false
}

// configure changes what is wanted. A session that is up stays up.
func (m *machine) configure(transmit, receive time.Duration, multiplier uint8, passive bool) {
	m.configuredTx, m.configuredRx, m.multiplier, m.passive = transmit, receive, multiplier, passive
	m.negotiate()
}

// negotiate tells the neighbour what is wanted now, if it is not told yet.
func (m *machine) negotiate() {
	desired := m.configuredTx
	if m.state != Up {
		desired = max(desired, notUpInterval)
	}
	if desired == m.desiredMinTx && m.configuredRx == m.requiredMinRx {
		return
	}
	if m.state == Up && (m.polling || m.pollEnding) {
		return // it is done when that is over
	}
	m.desiredMinTx, m.requiredMinRx = desired, m.configuredRx
	m.polling = m.remote != 0 && m.state != AdminDown
	if m.state != Up || !m.polling {
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
		return
	}
	// The neighbour has to know before less is sent, and to send more before less silence means that it is dead.
	m.txInterval = min(m.txInterval, m.desiredMinTx)
	m.rxInterval = max(m.rxInterval, m.requiredMinRx)
}

// setState changes the state.
func (m *machine) setState(s State, d Diagnostic) {
	wasUp := m.state == Up
	m.state, m.stateChanged = s, true
	if s != Up {
		m.diagnostic = d
	}
	if wasUp != (s == Up) {
		// What the neighbour is told counts at once, for the session was not up or is not up any more (RFC 5880, section 6.8.3), so that
		// a poll which is under way is about nothing any more.
		m.polling, m.pollEnding = false, false
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
		m.negotiate()
	}
}

// setAdminDown ends the session on purpose.
func (m *machine) setAdminDown() { m.setState(AdminDown, AdministrativelyDown) }

// handlePacket takes a packet of the neighbour.
func (m *machine) handlePacket(p packet, now time.Time) {
	m.remote, m.remoteState, m.remoteDiagnostic = p.myDiscriminator, p.state, p.diagnostic
	m.remoteMultiplier, m.remoteMinTx, m.remoteMinRx = p.multiplier, p.desiredMinTx, p.requiredMinRx
	m.remoteDemand = p.demand
	m.lastReceived = now
	if p.final && m.polling {
		m.polling, m.pollEnding = false, true
		m.txInterval, m.rxInterval = m.desiredMinTx, m.requiredMinRx
	} else if !p.final && m.pollEnding {
		m.pollEnding = false
		m.negotiate()
	}
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

// transition is the state that follows when the neighbour says that it is in a state, and why if it is Down (RFC 5880, section 6.8.6).
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

// transmitInterval is how far apart periodic packets are at most.
func (m *machine) transmitInterval() time.Duration { return max(m.txInterval, m.remoteMinRx) }

// detectionTime is how long the neighbour may be silent.
func (m *machine) detectionTime() time.Duration {
	return time.Duration(m.remoteMultiplier) * max(m.rxInterval, m.remoteMinTx)
}

// detectionExpiry is when the neighbour has been silent for too long; the zero time if it is not heard anyway.
func (m *machine) detectionExpiry() time.Time {
	if m.remote == 0 {
		return time.Time{}
	}
	return m.lastReceived.Add(m.detectionTime())
}

// checkDetectionTime tells whether the neighbour has been silent for too long, and draws the consequence.
func (m *machine) checkDetectionTime(now time.Time) bool {
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

// waitsPassively tells whether it is up to the neighbour to begin.
func (m *machine) waitsPassively() bool { return m.remote == 0 && m.passive }

// periodic tells whether packets are sent periodically (RFC 5880, section 6.8.7).
func (m *machine) periodic() bool {
	if m.remoteDemand && m.state == Up && m.remoteState == Up {
		return m.polling
	}
	return m.remoteMinRx != 0
}

// sendAt is when the next packet is due, if one is.
func (m *machine) sendAt() (time.Time, bool) {
	switch {
	case m.waitsPassively():
		return time.Time{}, false
	case m.finalDue || m.stateChanged:
		return m.lastSent, true
	}
	return m.lastSent.Add(time.Duration(m.jitter * float64(m.transmitInterval()))), m.periodic()
}

// nextPacket is the packet that is due, if one is, and takes it for sent.
func (m *machine) nextPacket(now time.Time) (packet, bool) {
	if at, ok := m.sendAt(); !ok || now.Before(at) {
		return packet{}, false
	}
	p := packet{
		diagnostic:        m.diagnostic,
		state:             m.state,
		multiplier:        m.multiplier,
		myDiscriminator:   m.local,
		yourDiscriminator: m.remote,
		desiredMinTx:      m.desiredMinTx,
		requiredMinRx:     m.requiredMinRx,
		final:             m.finalDue,
		poll:              m.polling && !m.finalDue && !m.stateChanged, // polls go with periodic packets alone (RFC 5880, section 6.5)
	}
	if m.stateChanged || !m.finalDue {
		m.lastSent = now
		m.jitter = 0.75 + 0.25*m.random()
		if m.multiplier == 1 {
			m.jitter = 0.75 + 0.15*m.random() // the neighbour misses the very first packet that is late
		}
	}
	m.finalDue, m.stateChanged = false, false
	return p, true
}

// wakeAt is when there is something to do next, if nothing arrives until then.
func (m *machine) wakeAt() (time.Time, bool) {
	at, ok := m.sendAt()
	if silent := m.detectionExpiry(); !silent.IsZero() && (!ok || silent.Before(at)) {
		return silent, true
	}
	return at, ok
}
