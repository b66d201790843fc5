package layer2

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// arpSize is how many bytes of a packet are read. An ARP packet has 28, and padding after them.
const arpSize = 128

// arpFilter lets through the ARP requests and replies of IPv4 over Ethernet whose sender or target
// is in a range of addresses.
func arpFilter(low, high uint32) []bpf.RawInstruction {
	return newFilter(arpSize, []condition{
		equals(0, 4, 1<<16|unix.ETH_P_IP), // hardware type, protocol type
		equals(4, 2, 6<<8|4),              // lengths of the addresses
		{6, 2, uint32(arp.OperationRequest), uint32(arp.OperationReply)},
	}, []condition{
		{14, 4, low, high}, // sender
		{24, 4, low, high}, // target
	})
}

// arpSocket is a conn for ARP on a real interface. It does not use arp.Client, which needs an IPv4
// address on the interface, and whose errors do not distinguish a malformed packet from a broken
// socket.
type arpSocket struct {
	socket socket
	ifi    Interface
	buf    [arpSize]byte

	mu sync.Mutex
	// low and high bound the addresses that the filter lets through.
	low, high uint32
}

func listenARP(i Interface) (conn, error) {
	a := &arpSocket{ifi: i, low: math.MaxUint32, high: 0}
	var err error
	if a.socket, err = newSocket(i, unix.ETH_P_ARP, arpFilter(a.low, a.high)); err != nil {
		return nil, fmt.Errorf("open an ARP socket: %w", err)
	}
	return a, nil
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
		if m, ok := parseARP(p, from.(*packet.Addr).HardwareAddr); ok {
			return m, nil
		}
	}
}

func (s *arpSocket) answer(m message, mac net.HardwareAddr) error {
	return s.send(reply(m, mac), m.mac)
}

func (s *arpSocket) ask(addr, from netip.Addr, to net.HardwareAddr) error {
	if err := s.join(addr); err != nil {
		return err
	}
	if to == nil {
		to = broadcast
	}
	return s.send(newPacket(arp.OperationRequest, s.ifi.MAC, from, noMAC, addr), to)
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

// join widens the filter's range of addresses if it has to. The addresses of a pool are close
// together, so most of what else is on the network does not wake this process.
func (s *arpSocket) join(addr netip.Addr) error {
	ip := addr.As4()
	n := binary.BigEndian.Uint32(ip[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.low <= n && n <= s.high {
		return nil
	}
	s.low, s.high = min(s.low, n), max(s.high, n)
	if err := s.socket.SetBPF(arpFilter(s.low, s.high)); err != nil {
		return fmt.Errorf("filter ARP: %w", err)
	}
	return nil
}

// leave does nothing: the range stays until the socket is closed.
func (s *arpSocket) leave(netip.Addr) {}

func (s *arpSocket) close() error { return s.socket.Close() }
