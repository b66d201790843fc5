package bfd

import (
	"time"

	"github.com/clarionlb/clarion/internal/guard"
)

// serviceListener is the listener of a service, or the error that keeps it from being opened.
type serviceListener struct {
	service  service
	listener listener
	err      error
}

func (l *serviceListener) close() {
	if l.listener != nil {
		l.listener.close()
	}
}

// listenRetry is how long to wait until the next attempt to open a listener.
const listenRetry = time.Second

// listen opens the listeners that are needed and closes the others.
func (s *Speaker) listen(now time.Time) {
	needed := map[service]bool{}
	for _, r := range s.sessions {
		needed[r.config.service()] = true
	}
	s.listenAt = time.Time{}
	for service, l := range s.listeners {
		if !needed[service] {
			l.close()
			delete(s.listeners, service)
		}
	}
	for service := range needed {
		l := s.listeners[service]
		if l == nil {
			l = &serviceListener{service: service}
			s.listeners[service] = l
		}
		if l.listener != nil {
			continue
		}
		listener, err := s.sockets.listen(service)
		s.setError(&l.err, err)
		if err != nil {
			s.listenAt = now.Add(listenRetry)
			continue
		}
		l.listener = listener
	}
}

// batch is how many packets of a listener are handled at a time, so that a flood of them does not
// keep anything else from being done. It is more than fit into a listener's buffer, so that no
// packet is left that was there before.
const batch = 8192

// receiveAll handles the packets that have arrived at a listener.
func (s *Speaker) receiveAll(l *serviceListener) {
	if l.listener == nil {
		return
	}
	for range batch {
		d, ok := l.listener.receive()
		if !ok {
			return
		}
		// A datagram on which this panics is passed over: the next one has the peer's whole state.
		guard.Run("bfd", d.from.String(), func() { s.dispatch(l, d, time.Now()) })
	}
}

// dispatch gives a datagram to the session that it is for, if there is one.
func (s *Speaker) dispatch(l *serviceListener, d datagram, now time.Time) {
	packet, err := parse(d.payload)
	if err != nil {
		return
	}
	r := s.find(l, packet, d)
	if r == nil {
		return
	}
	if err := r.validate(packet, d); err != nil {
		r.refused++
		if r.state != Up { // if the session is up, somebody else has forged the packet
			s.setError(&r.refuseErr, err)
		}
		return
	}
	r.received++
	r.lastReceived = d.at
	s.setError(&r.refuseErr, nil)
	s.update(r, now, func() { r.handlePacket(packet, d.at) })
	if !r.awaited.IsZero() && d.at.After(r.awaited) {
		r.awaited = time.Time{}
		s.changed.Notify()
	}
	s.queue.put(r) // what is due is done when all have been handled: this one may be old, and others have come since
}

// find returns the session that a packet is for (RFC 5880, section 6.3). It is the one with the
// packet's Your Discriminator. A packet without one is for the session on its path.
func (s *Speaker) find(l *serviceListener, packet packet, d datagram) *runningSession {
	if packet.yourDiscriminator != 0 {
		r := s.sessions[packet.yourDiscriminator]
		if r != nil && r.config.Peer == d.from && r.config.service() == l.service {
			return r
		}
		return nil
	}
	var found *runningSession
	for _, r := range s.paths[origin{l.service, d.from}] {
		if s.matches(r, d) && (found == nil || r.moreSpecificThan(found)) {
			found = r
		}
	}
	return found
}

// matches says whether a datagram of the peer arrived at the session's local address and interface.
func (s *Speaker) matches(r *runningSession, d datagram) bool {
	if r.config.Local.IsValid() && r.config.Local != d.to {
		return false
	}
	if r.config.Interface == "" {
		return true
	}
	index, err := s.sockets.index(r.config.Interface)
	return err == nil && index == d.ifi
}
