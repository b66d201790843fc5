package layer2

import (
	"errors"
	"fmt"
	"net"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// questions lets through the ARP requests of IPv4 over Ethernet that came for this machine or for everybody. The offsets
// count from the ARP header, because the socket is one of datagrams.
//
// A request from a VLAN that the interface is not in arrives at its socket with the tag taken off; the kernel then says
// that it is for another host, or that there was a tag. One that was tagged for priority alone, with VLAN 0, gets through.
var questions = assemble([]bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: 7},
	bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 5},
	bpf.LoadAbsolute{Off: 0, Size: 4}, // hardware type, protocol type
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1<<16 | unix.ETH_P_IP, SkipTrue: 3},
	bpf.LoadAbsolute{Off: 4, Size: 4}, // lengths of the addresses, operation
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 6<<24 | 4<<16 | uint32(arp.OperationRequest), SkipTrue: 1},
	bpf.RetConstant{Val: packetSize},
	bpf.RetConstant{Val: 0},
})

// packetSize is how much of a packet is read: an ARP packet has 28 bytes, and padding after them.
const packetSize = 128

func assemble(program []bpf.Instruction) []bpf.RawInstruction {
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // the program is a constant
	}
	return raw
}

// socket is a conn on a real interface. The kernel writes and strips the Ethernet header, and so always sends from the
// address that the interface has at that moment.
//
// arp.Client is of no use here: it wants the interface to have an IPv4 address, and its errors do not tell a malformed
// packet from a broken socket.
type socket struct {
	conn *packet.Conn
	buf  [packetSize]byte
}

func (l *Links) listen(i Interface) (conn, error) {
	c, err := packet.Listen(&net.Interface{Index: i.Index, Name: i.Name, HardwareAddr: i.MAC}, packet.Datagram,
		unix.ETH_P_ARP, &packet.Config{Filter: questions})
	if err != nil {
		return nil, fmt.Errorf("open an ARP socket: %w", err)
	}
	return &socket{conn: c}, nil
}

func (s *socket) read() (*arp.Packet, error) {
	for {
		n, _, err := s.conn.ReadFrom(s.buf[:])
		if err != nil {
			return nil, fmt.Errorf("receive ARP: %w", err)
		}
		p := new(arp.Packet)
		if err := p.UnmarshalBinary(s.buf[:n]); err == nil {
			return p, nil
		}
	}
}

func (s *socket) write(p *arp.Packet, to net.HardwareAddr) error {
	b, err := p.MarshalBinary()
	if err != nil {
		return fmt.Errorf("write an ARP packet: %w", err)
	}
	_, err = s.conn.WriteTo(b, &packet.Addr{HardwareAddr: to})
	// A full queue loses the packet, as the network might.
	if err != nil && !errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("send ARP: %w", err)
	}
	return nil
}

func (s *socket) close() error { return s.conn.Close() }
