package bfd

import (
	"errors"
	"net/netip"
	"time"
)

// service is a UDP port of one family, at which the packets of all sessions of a kind arrive.
type service struct {
	six, multiHop bool
	// own is the port of sessions that have one of their own; 0 is BFD's.
	own uint16
}

// port is the destination port of the packets.
func (s service) port() uint16 {
	switch {
	case s.own != 0:
		return s.own
	case s.multiHop:
		return 4784 // RFC 5883, section 5
	}
	return 3784 // RFC 5881, section 4
}

// sockets is what a Speaker needs of the operating system. One goroutine listens and waits.
type sockets interface {
	// listen opens a listener. It returns ErrPortTaken if another program has the port.
	listen(service) (listener, error)
	// dial opens a sender for a session, with that source port. It returns errSourcePortTaken if
	// the port is taken.
	dial(Session, uint16) (sender, error)
	// index returns the index of the interface with that name.
	index(name string) (int, error)
	// wait returns at the time of the alarm, or if wake was called since the last wait, and if arrivals is set also if there is
	// something to receive. It may also return for no reason.
	wait(arrivals bool)
	wake()
	// alarm sets the time of the alarm, also for a wait that goes on. Zero is no alarm.
	alarm(at time.Time)
	// timer returns a timer that has f called by another goroutine, and never twice at once.
	timer(f func()) (timer, error)
	// close must be called after all listeners and senders are closed.
	close()
}

// timer calls a function at a time.
type timer interface {
	// set has the function called at a time, and not at the one before; zero is never. It may also be called for no reason.
	set(at time.Time)
	// close waits for a call that goes on.
	close()
}

// listener receives for all sessions of a service.
type listener interface {
	// receive returns a datagram that has arrived, if there is one. It does not wait.
	receive() (datagram, bool)
	close()
}

// sender sends for one session.
type sender interface {
	// send does not wait. It returns ErrNotListening if the packet was sent, but the peer's host
	// has refused an earlier one. It returns errLost if the packet was not sent, and another
	// attempt may succeed.
	send(b []byte) error
	close()
}

var (
	errSourcePortTaken = errors.New("the source port is taken")
	errLost            = errors.New("not sent")
)

// datagram is what arrived at a listener.
type datagram struct {
	// payload is valid until the next one is received.
	payload  []byte
	from, to netip.Addr // without zone
	// ifi is the index of the interface that it arrived on.
	ifi int
	// ttl is the TTL or hop limit with which it arrived.
	ttl uint8
	// at is when it arrived.
	at time.Time
}
