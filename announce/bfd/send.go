package bfd

import (
	"errors"
	"fmt"
)

// The source ports of sessions are dynamic ports, a different one for each (RFC 5881, section 4).
const firstPort, lastPort = 49152, 65535

// send sends a packet of a session. It does nothing if no listener could receive an answer.
func (s *Speaker) send(r *runningSession, packet packet) {
	if l := s.listeners[r.config.service()]; l == nil || l.listener == nil {
		return
	}
	err := s.dial(r)
	if err == nil {
		var b [packetSize + authenticationSize]byte
		err = r.sender.send(r.marshal(b[:0], packet))
		switch {
		case err == nil || errors.Is(err, ErrNotListening):
			r.sent++
		case !errors.Is(err, errLost):
			r.closeSender() // the next one may have another interface or source address
		}
	}
	s.setError(&r.sendErr, err)
}

// dial opens the sender of a session if it has none. It uses the same source port as before if it
// can.
func (s *Speaker) dial(r *runningSession) error {
	if r.sender != nil {
		return nil
	}
	port := r.port
	for range lastPort - firstPort + 2 {
		if port == 0 {
			port = s.nextPort()
		}
		sender, err := s.sockets.dial(r.config, port)
		if err == nil {
			r.sender, r.port = sender, port
			return nil
		}
		if !errors.Is(err, errSourcePortTaken) {
			return err
		}
		port = 0
	}
	return fmt.Errorf("%w, and so are all others", errSourcePortTaken)
}

// nextPort returns the source ports in turn.
func (s *Speaker) nextPort() uint16 {
	if s.port < firstPort || s.port == lastPort {
		s.port = firstPort
	} else {
		s.port++
	}
	return s.port
}
