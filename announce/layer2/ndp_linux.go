package layer2

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// ndpSize is how many bytes of a packet are read: the minimum MTU of IPv6. Solicitations and
// advertisements must not come in fragments (RFC 6980).
const ndpSize = 1280

// ndpFilter lets through the neighbour solicitations and advertisements that no router has forwarded.
var ndpFilter = newFilter(ndpSize, []condition{
	equals(6, 2, icmpv6<<8|ndpHopLimit), // next header, hop limit
	{ipv6HeaderSize, 1, 135, 136},       // type
	equals(ipv6HeaderSize+1, 1, 0),      // code
}, nil)

// ndpSocket is a conn for NDP on a real interface. It bypasses the kernel's IPv6 in both
// directions. An ICMPv6 socket would not receive what is sent to an address that the kernel does
// not have. And the kernel would send an answer by its own routes and neighbour entries, and not to
// the host that asked.
type ndpSocket struct {
	socket    socket
	ifi       Interface
	linkLocal func() netip.Addr
	groups    *groups
	buf       [ndpSize]byte
}

// listenNDP opens a conn. It sends from the link-local address that the interface has at that moment.
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

// answer answers a probe to all nodes, because its sender has no address (RFC 4861, section 7.2.4).
func (s *ndpSocket) answer(m message, mac net.HardwareAddr) error {
	if m.from.IsUnspecified() {
		return s.advertise(m.asks, mac, allNodes, allNodesMAC, false)
	}
	return s.advertise(m.asks, mac, m.from, m.mac, true)
}

// announce sends an unsolicited advertisement to all nodes (RFC 4861, section 7.2.6). Routers that
// implement RFC 9131 also learn addresses from it that they did not know.
func (s *ndpSocket) announce(addr netip.Addr, _ int) error {
	return s.advertise(addr, s.ifi.MAC, allNodes, allNodesMAC, false)
}

// ask sends a solicitation to the group of the address in any case. The kernel of a host that is
// asked alone (RFC 6085) so does not take it for a packet that it is to forward, if the address is
// none of its own.
func (s *ndpSocket) ask(addr, from netip.Addr, to net.HardwareAddr) error {
	b, group, err := newSolicitation(addr, s.ifi.MAC, from)
	if err != nil {
		return fmt.Errorf("write a neighbour solicitation: %w", err)
	}
	if to == nil {
		to = multicastMAC(group)
	}
	return s.send(b, to)
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

// source is the source address of advertisements for addr. It has to be an address of the interface
// (RFC 4861, section 4.4). Switches that guard against forged packets know the interface by its
// link-local address. It may have none: if it has just come up and still detects duplicates, or if
// it was configured without one. Then addr, which is its own too, is the source.
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
