package bfd

import "time"

// serviceListener is the listener of a service, or why there is none.
type serviceListener struct {
	service  service
	listener listener
	err      error
}

func (e *serviceListener) close() {
	if e.listener != nil {
		e.listener.close()
	}
}

// listenRetry is how long to wait before trying again to open a listener.
const listenRetry = time.Second

// listen opens the listeners that are needed and closes the others.
func (s *Speaker) listen(now time.Time) {
	needed := map[service]bool{}
	for _, p := range s.sessions {
		needed[p.config.service()] = true
	}
	s.listenAt = time.Time{}
	for _, service := range services {
		e := s.listeners[service]
		switch {
		case !needed[service] && e != nil:
			e.close()
			delete(s.listeners, service)
		case needed[service] && (e == nil || e.listener == nil):
			if e == nil {
				e = &serviceListener{service: service}
				s.listeners[service] = e
			}
			listener, err := s.sockets.listen(service)
			s.setError(&e.err, err)
			if err != nil {
				s.listenAt = now.Add(listenRetry)
				continue
			}
			e.listener = listener
		}
	}
}

// batch is how many packets are taken at a time, so that a flood of them keeps nothing else from its turn. It is more than there is room
// for in a listener, so that no packet is left that was there before.
const batch = 8192

// receiveAll takes the packets that have arrived at a listener.
func (s *Speaker) receiveAll(e *serviceListener) {
	if e.listener == nil {
		return
	}
	for range batch {
		d, ok := e.listener.receive()
		if !ok {
			return
		}
		s.dispatch(e, d, time.Now())
	}
}

// dispatch gives a datagram to the session that it is for, if there is one.
func (s *Speaker) dispatch(e *serviceListener, d datagram, now time.Time) {
	packet, err := parse(d.payload)
	if err != nil {
		return
	}
	p := s.find(e, packet, d)
	if p == nil {
		return
	}
	if err := p.validate(packet, d.ttl); err != nil {
		p.refused++
		if p.state != Up { // in which case somebody pretends to be the neighbour
			s.setError(&p.refuseErr, err)
		}
		return
	}
	p.received++
	s.setError(&p.refuseErr, nil)
	s.update(p, now, func() { p.handlePacket(packet, now) })
	s.advance(p, now)
}

// find returns the session that a packet is for: the one that it names, or as long as the neighbour does not know its name, the one with
// its path.
func (s *Speaker) find(e *serviceListener, packet packet, d datagram) *runningSession {
	if packet.yourDiscriminator != 0 {
		if p := s.sessions[packet.yourDiscriminator]; p != nil && p.config.Peer == d.from && p.config.service() == e.service {
			return p
		}
		return nil
	}
	var found *runningSession
	for _, p := range s.paths[origin{e.service, d.from}] {
		if s.matches(p, d) && (found == nil || p.moreSpecificThan(found)) {
			found = p
		}
	}
	return found
}

// moreSpecificThan tells whether a packet that may be for either of two sessions is for this one, because it says more about where its packets
// come to.
func (p *runningSession) moreSpecificThan(o *runningSession) bool {
	if p.config.Local.IsValid() != o.config.Local.IsValid() {
		return p.config.Local.IsValid()
	}
	return p.config.Interface != "" && o.config.Interface == ""
}

// matches tells whether a datagram of the neighbour came to where the session is.
func (s *Speaker) matches(p *runningSession, d datagram) bool {
	if p.config.Local.IsValid() && p.config.Local != d.to {
		return false
	}
	if p.config.Interface == "" {
		return true
	}
	index, err := s.sockets.index(p.config.Interface)
	return err == nil && index == d.ifi
}
