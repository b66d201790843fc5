package layer2

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// arpSize is how much of a packet is read: an ARP packet has 28 bytes, and padding after them.
const arpSize = 128

// arpFilter lets through the ARP requests of IPv4 over Ethernet.
var arpFilter = newFilter(arpSize,
	equals{0, 4, 1<<16 | unix.ETH_P_IP},                        // hardware type, protocol type
	equals{4, 4, 6<<24 | 4<<16 | uint32(arp.OperationRequest)}, // lengths of the addresses, operation
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

func (s *arpSocket) read() (question, error) {
	for {
		n, _, err := s.socket.ReadFrom(s.buf[:])
		if err != nil {
			return question{}, fmt.Errorf("receive ARP: %w", err)
		}
		p := new(arp.Packet)
		if err := p.UnmarshalBinary(s.buf[:n]); err != nil {
			continue
		}
		if q, ok := asked(p); ok {
			return q, nil
		}
	}
}

func (s *arpSocket) answer(q question) error {
	return s.send(reply(q, s.ifi.MAC), q.mac)
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
