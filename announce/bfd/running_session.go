package bfd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// runningSession is a Session at work: its machine, its sender, and what has happened to it.
type runningSession struct {
	*machine
	name   string
	config Session
	since  time.Time
	// removeAt is when the peer has been told for long enough that the session was ended on
	// purpose. It is zero unless the session was.
	removeAt time.Time

	// awaited is the time after which somebody wants to know when a packet arrives; zero if nobody does.
	awaited time.Time

	sender sender
	port   uint16 // the source port; 0 before the first packet
	// auth is what makes the packets authentic, if the session has Keys.
	auth authentication

	failures                uint64
	lastDetection           time.Duration
	sent, received, refused uint64
	lastReceived            time.Time
	// sendErr is why the last packet could not be sent. refuseErr is why the peer's last packet was
	// refused.
	sendErr, refuseErr error

	// at and index are the queue's.
	at    time.Time
	index int
}

func newRunningSession(name string, config Session, discriminator uint32, now time.Time) *runningSession {
	r := &runningSession{machine: newMachine(discriminator, rand.Float64), name: name, since: now, index: -1}
	r.reconfigure(config)
	return r
}

func (r *runningSession) reconfigure(config Session) {
	r.config, r.notUp = config, config.NotUp
	r.configure(config.Transmit, config.Receive, config.Multiplier, config.Passive)
}

// shutDown ends the session on purpose. The peer is told so for the length of its detection time
// (RFC 5880, section 6.8.16), unless it was never heard.
func (r *runningSession) shutDown(now time.Time) {
	r.removeAt = now
	if r.remote.discriminator != 0 {
		r.setAdminDown()
		r.removeAt = now.Add(time.Duration(r.multiplier) * r.transmitInterval())
	}
}

// wakeAt is when there is something to do for the session next; false if there is nothing.
func (r *runningSession) wakeAt() (time.Time, bool) {
	at, ok := r.machine.wakeAt()
	if !r.removeAt.IsZero() && (!ok || r.removeAt.Before(at)) {
		return r.removeAt, true
	}
	return at, ok
}

// mayCoalesce says whether packets of the peer need not be handled as they arrive.
func (r *runningSession) mayCoalesce() bool {
	return r.config.Coalesce && r.settled() && r.sender != nil && r.awaited.IsZero() && r.removeAt.IsZero()
}

func (r *runningSession) status() Status {
	status := Status{
		Name:             r.name,
		State:            r.state,
		Overdue:          r.overdue,
		Since:            r.since,
		Diagnostic:       r.diagnostic,
		RemoteState:      r.remote.state,
		RemoteDiagnostic: r.remote.diagnostic,
		Failures:         r.failures,
		Transmit:         r.transmitInterval(),
		LastDetection:    r.lastDetection,
		Sent:             r.sent,
		Received:         r.received,
		Refused:          r.refused,
		LastReceived:     r.lastReceived,
		Err:              r.sendErr,
	}
	if r.remote.discriminator != 0 {
		status.Detection = r.detectionTime()
	}
	if status.Err == nil {
		status.Err = r.refuseErr
	}
	return status
}

// errUnproven says that nothing in a packet shows that it comes from the peer of a session that is up.
var errUnproven = errors.New("the packet has neither discriminator of the session")

// validate returns why a packet of the peer is refused; nil if it is not.
//
// A session that is up goes by packets alone that have one of its two discriminators, which somebody
// else on the link does not know. RFC 5880, section 6.8.6, lets any packet of the peer's address end
// it that says Down and has no Your Discriminator. A peer that does not hear this side any more sends
// such packets, with its own discriminator. One that was restarted has another: it is noticed when
// the detection time expires, since it sends nothing else any more, and so by that time later at most.
func (r *runningSession) validate(p packet, d datagram) error {
	switch {
	case d.ttl < r.config.MinimumTTL:
		return fmt.Errorf("%w: they arrive with TTL %d, and %d is the least", ErrTTL, d.ttl, r.config.MinimumTTL)
	case p.authenticated && r.config.Keys == nil:
		return ErrAuthentication
	case r.state == Up && p.yourDiscriminator == 0 && p.myDiscriminator != r.remote.discriminator:
		return errUnproven
	case r.config.Keys != nil:
		return r.authenticate(p, d)
	}
	return nil
}

// moreSpecificThan says whether a packet that may be for either of two sessions is for this one,
// because it says more about where its packets arrive.
func (r *runningSession) moreSpecificThan(o *runningSession) bool {
	if r.config.Local.IsValid() != o.config.Local.IsValid() {
		return r.config.Local.IsValid()
	}
	return r.config.Interface != "" && o.config.Interface == ""
}

// closeSender closes the sender if there is one. The next packet opens another.
func (r *runningSession) closeSender() {
	if r.sender != nil {
		r.sender.close()
		r.sender = nil
	}
}
