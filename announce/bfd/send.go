package bfd

import (
	"errors"
	"fmt"
)

// Source ports are from the dynamic range, and each session has its own (RFC 5881, section 4).
const firstPort, lastPort = 49152, 65535

// send sends a packet of a session, unless nobody could hear the answer.
func (s *Speaker) send(p *runningSession, packet packet) {
	if e := s.listeners[p.config.service()]; e == nil || e.listener == nil {
		return
	}
	err := s.dial(p)
	if err == nil {
		var b [packetSize]byte
		err = p.sender.send(packet.append(b[:0]))
		switch {
		case err == nil || errors.Is(err, ErrNotListening):
			p.sent++
		case !errors.Is(err, errLost):
			p.closeSender() // the next time, there may be another interface or source address
		}
	}
	s.setError(&p.sendErr, err)
}

// dial sees to it that a session has a sender, from the same port as before if it can be.
func (s *Speaker) dial(p *runningSession) error {
	if p.sender != nil {
		return nil
	}
	port := p.port
	for range lastPort - firstPort + 2 {
		if port == 0 {
			port = s.nextPort()
		}
		sender, err := s.sockets.dial(p.config, port)
		if err == nil {
			p.sender, p.port = sender, port
			return nil
		}
		if !errors.Is(err, errSourcePortTaken) {
			return err
		}
		port = 0
	}
	return fmt.Errorf("%w, and so are all others", errSourcePortTaken)
}

// nextPort is a source port that no session has taken since all the others were.
func (s *Speaker) nextPort() uint16 {
	if s.port < firstPort || s.port == lastPort {
		s.port = firstPort
	} else {
		s.port++
	}
	return s.port
}

// closeSender closes the sender.
func (p *runningSession) closeSender() {
	if p.sender != nil {
		p.sender.close()
		p.sender = nil
	}
}
