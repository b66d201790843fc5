package bfd

import (
	"errors"
	"net/netip"
	"time"
)

// service is where packets arrive: one UDP port of one family, for all sessions of its kind.
type service struct{ six, multiHop bool }

// port is the one that packets are sent to.
func (s service) port() uint16 {
	if s.multiHop {
		return 4784 // RFC 5883, section 5
	}
	return 3784 // RFC 5881, section 4
}

// services are all that there are.
var services = [...]service{{false, false}, {false, true}, {true, false}, {true, true}}

// sockets are what is needed of the operating system, by one goroutine but for wake.
type sockets interface {
	// listen opens a listener. It fails with ErrPortTaken if another program has the port.
	listen(service) (listener, error)
	// dial opens a sender for a session from a source port. It fails with errSourcePortTaken if that is taken.
	dial(Session, uint16) (sender, error)
	// index returns the index of the interface with that name.
	index(name string) (int, error)
	// wait returns when there is something to receive, at the given time if that is not zero, or when wake was called since it returned
	// last, and sometimes for no reason.
	wait(until time.Time)
	wake()
	// close is for when all listeners and senders are closed.
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
	// send does not wait. It returns ErrNotListening if it has sent, but the neighbour's host refused what was sent before, and errLost
	// if it has not, and the next time may be better.
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
}
