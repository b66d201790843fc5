package layer2

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// ndpSize is how much of a packet is read: no link has to carry more in one piece, and solicitations must not come in
// several (RFC 6980).
const ndpSize = 1280

// ndpFilter lets through the neighbour solicitations and advertisements that no router has forwarded.
var ndpFilter = newFilter(ndpSize, []condition{
	equals(6, 2, icmpv6<<8|ndpHopLimit), // next header, hop limit
	{ipv6HeaderSize, 1, 135, 136},       // type
	equals(ipv6HeaderSize+1, 1, 0),      // code
}, nil)

// ndpSocket is a conn for NDP on a real interface. It goes past the kernel's IPv6 in both directions: what comes for an
// address that the kernel does not have, an ICMPv6 socket never gets to see; and what the kernel sends, it sends where its
// own routes and neighbours tell it to, whereas an answer belongs to who asked.
type ndpSocket struct {
	socket    socket
	ifi       Interface
	linkLocal func() netip.Addr
	groups    *groups
	buf       [ndpSize]byte
}

// listenNDP opens a conn that sends from the link-local address of the interface, as it is each time.
func listenNDP(i Interface, linkLocal func() netip.Addr) (conn, error) {
	s, err := newSocket(i, unix.ETH_P_IPV6, ndpFilter)
	if err != nil {
		return nil, fmt.Errorf("open a socket for IPv6: %w", err)
	}
	return &ndpSocket{socket: s, ifi: i, linkLocal: linkLocal, groups: newGroups(i.Index)}, nil
}

func (s *ndpSocket) read() (message, error) {
	for {
		n, from, err := s.socket.ReadFrom(s.buf[:])
		if err != nil {
			return message{}, fmt.Errorf("receive NDP: %w", err)
		}
		if m, ok := parseNDP(s.buf[:n], from.(*packet.Addr).HardwareAddr); ok {
			return m, nil
		}
	}
}

// answer tells everybody if who asked has no address: it was about to take one that is in use (RFC 4862, section 5.4).
func (s *ndpSocket) answer(m message, mac net.HardwareAddr) error {
	if m.from.IsUnspecified() {
		return s.advertise(m.asks, mac, allNodes, allNodesMAC, false)
	}
	return s.advertise(m.asks, mac, m.from, m.mac, true)
}

// announce tells all nodes. Those that implement RFC 9131, which are the routers on the link, also learn an address from it
// that they did not know.
func (s *ndpSocket) announce(addr netip.Addr, _ int) error {
	return s.advertise(addr, s.ifi.MAC, allNodes, allNodesMAC, false)
}

func (s *ndpSocket) ask(addr, from netip.Addr) error {
	b, group, err := newSolicitation(addr, s.ifi.MAC, from)
	if err != nil {
		return fmt.Errorf("write a neighbour solicitation: %w", err)
	}
	return s.send(b, multicastMAC(group))
}

func (s *ndpSocket) advertise(addr netip.Addr, mac net.HardwareAddr, dst netip.Addr, to net.HardwareAddr, solicited bool) error {
	b, err := advertisement(addr, mac, s.source(addr), dst, solicited)
	if err != nil {
		return fmt.Errorf("write a neighbour advertisement: %w", err)
	}
	return s.send(b, to)
}

func (s *ndpSocket) send(b []byte, to net.HardwareAddr) error {
	if err := s.socket.send(b, to); err != nil {
		return fmt.Errorf("send NDP: %w", err)
	}
	return nil
}

// source is the address to speak for addr from. It has to be one of the interface (RFC 4861, section 4.4). Its link-local
// one is what switches that guard against forged packets know it by. An interface may have none: it may have just come up
// and be checking that nobody else has it, or have been told to have none. It then speaks from the announced address,
// which is its own too.
func (s *ndpSocket) source(addr netip.Addr) netip.Addr {
	if own := s.linkLocal(); own.IsValid() {
		return own
	}
	return addr
}

func (s *ndpSocket) join(addr netip.Addr) error { return s.groups.join(addr) }

func (s *ndpSocket) leave(addr netip.Addr) { s.groups.leave(addr) }

func (s *ndpSocket) close() error {
	s.groups.close()
	return s.socket.Close()
}
