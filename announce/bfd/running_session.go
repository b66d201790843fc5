package bfd

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// runningSession is a session at work: its machine, where it sends, and what has happened to it.
type runningSession struct {
	*machine
	name   string
	config Session
	since  time.Time
	// removeAt is when the neighbour has been told for long enough that the session was ended on purpose; zero if it was not.
	removeAt time.Time

	sender sender
	port   uint16 // from which it sends; 0 if it never did

	failures                uint64
	lastDetection           time.Duration
	sent, received, refused uint64
	// sendErr is why the last packet could not be sent, and refuseErr why the neighbour's last one was not taken.
	sendErr, refuseErr error

	// at and place are the queue's.
	at    time.Time
	index int
}

func newRunningSession(name string, config Session, discriminator uint32, now time.Time) *runningSession {
	p := &runningSession{machine: newMachine(discriminator, rand.Float64), name: name, since: now, index: -1}
	p.reconfigure(config)
	return p
}

func (p *runningSession) reconfigure(config Session) {
	p.config = config
	p.configure(config.Transmit, config.Receive, config.Multiplier, config.Passive)
}

// shutDown ends the session on purpose. The neighbour is told for as long as it may take to notice by itself (RFC 5880, section 6.8.16),
// unless it was never heard.
func (p *runningSession) shutDown(now time.Time) {
	p.removeAt = now
	if p.remote != 0 {
		p.setAdminDown()
		p.removeAt = now.Add(time.Duration(p.multiplier) * p.transmitInterval())
	}
}

// wakeAt is when there is something to do for the session.
func (p *runningSession) wakeAt() (time.Time, bool) {
	at, ok := p.machine.wakeAt()
	if !p.removeAt.IsZero() && (!ok || p.removeAt.Before(at)) {
		return p.removeAt, true
	}
	return at, ok
}

func (p *runningSession) status() Status {
	status := Status{
		Name:             p.name,
		State:            p.state,
		Since:            p.since,
		Diagnostic:       p.diagnostic,
		RemoteState:      p.remoteState,
		RemoteDiagnostic: p.remoteDiagnostic,
		Failures:         p.failures,
		Transmit:         p.transmitInterval(),
		LastDetection:    p.lastDetection,
		Sent:             p.sent,
		Received:         p.received,
		Refused:          p.refused,
		Err:              p.sendErr,
	}
	if p.remote != 0 {
		status.Detection = p.detectionTime()
	}
	if status.Err == nil {
		status.Err = p.refuseErr
	}
	return status
}

// validate is why a packet of the neighbour is not taken, if it is not.
func (p *runningSession) validate(c packet, ttl uint8) error {
	switch {
	case ttl < p.config.MinimumTTL:
		return fmt.Errorf("%w: they arrive with TTL %d, and %d is the least", ErrTTL, ttl, p.config.MinimumTTL)
	case c.authenticated:
		return ErrAuthentication
	}
	return nil
}
