package layer2

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// arpSize is how much of a packet is read: an ARP packet has 28 bytes, and padding after them.
const arpSize = 128

// arpFilter lets through the ARP requests and replies of IPv4 over Ethernet.
var arpFilter = newFilter(arpSize,
	equals(0, 4, 1<<16|unix.ETH_P_IP), // hardware type, protocol type
	equals(4, 2, 6<<8|4),              // lengths of the addresses
	condition{6, 2, uint32(arp.OperationRequest), uint32(arp.OperationReply)},
)

// arpSocket is a conn for ARP on a real interface.
//
// arp.Client is of no use here: it wants the interface to have an IPv4 address, and its errors do not tell a malformed
// packet from a broken socket.
type arpSocket struct {
	socket socket
	ifi    Interface
	buf    [arpSize]byte
}

func listenARP(i Interface) (conn, error) {
	s, err := newSocket(i, unix.ETH_P_ARP, arpFilter)
	if err != nil {
		return nil, fmt.Errorf("open an ARP socket: %w", err)
	}
	return &arpSocket{socket: s, ifi: i}, nil
}

func (s *arpSocket) read() (message, error) {
	for {
		n, from, err := s.socket.ReadFrom(s.buf[:])
		if err != nil {
			return message{}, fmt.Errorf("receive ARP: %w", err)
		}
		p := new(arp.Packet)
		if err := p.UnmarshalBinary(s.buf[:n]); err != nil {
			continue
		}
		if m, ok := heard(p, from.(*packet.Addr).HardwareAddr); ok {
			return m, nil
		}
	}
}

func (s *arpSocket) answer(m message, mac net.HardwareAddr) error {
	return s.send(reply(m, mac), m.mac)
}

func (s *arpSocket) ask(addr, from netip.Addr) error {
	return s.send(newPacket(arp.OperationRequest, s.ifi.MAC, from, nobody, addr), broadcast)
}

func (s *arpSocket) announce(addr netip.Addr, form int) error {
	return s.send(gratuitous(arpForms[form], s.ifi.MAC, addr), broadcast)
}

func (s *arpSocket) send(p *arp.Packet, to net.HardwareAddr) error {
	b, err := p.MarshalBinary()
	if err != nil {
		return fmt.Errorf("write an ARP packet: %w", err)
	}
	if err := s.socket.send(b, to); err != nil {
		return fmt.Errorf("send ARP: %w", err)
	}
	return nil
}

// join does nothing: ARP asks everybody.
func (s *arpSocket) join(netip.Addr) error { return nil }

func (s *arpSocket) leave(netip.Addr) {}

func (s *arpSocket) close() error { return s.socket.Close() }
