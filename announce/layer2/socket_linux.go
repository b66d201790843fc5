package layer2

import (
	"errors"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// listen opens a conn on a real interface.
func (l *Links) listen(i Interface, p protocol) (conn, error) {
	if p == arpProtocol {
		return listenARP(i)
	}
	return listenNDP(i, func() netip.Addr { return l.linkLocal(i.Index) })
}

// socket is a packet socket for one protocol on one interface. The kernel writes and strips the Ethernet header, and so
// always sends from the address that the interface has at that moment.
type socket struct {
	*packet.Conn
}

func newSocket(i Interface, etherType int, filter []bpf.RawInstruction) (socket, error) {
	c, err := packet.Listen(&net.Interface{Index: i.Index, Name: i.Name, HardwareAddr: i.MAC}, packet.Datagram,
		etherType, &packet.Config{Filter: filter})
	return socket{c}, err
}

func (s socket) send(b []byte, to net.HardwareAddr) error {
	_, err := s.WriteTo(b, &packet.Addr{HardwareAddr: to})
	// A full queue loses the packet, as the network might.
	if errors.Is(err, unix.ENOBUFS) {
		return nil
	}
	return err
}

// condition is one on a packet: that the number in size bytes at an offset is in a range. Offsets count from after the Ethernet
// header.
type condition struct {
	offset    uint32
	size      int
	low, high uint32
}

func equals(offset uint32, size int, value uint32) condition {
	return condition{offset, size, value, value}
}

// newFilter lets through, up to a size, the packets that came for this machine, for everybody or for a group, and that meet
// all conditions.
//
// A packet from a VLAN that the interface is not in arrives at its socket with the tag taken off; the kernel then says
// that it is for another host, or that there was a tag. One that was tagged for priority alone, with VLAN 0, gets through.
func newFilter(size uint32, conditions ...condition) []bpf.RawInstruction {
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0},
	}
	for _, c := range conditions {
		program = append(program, bpf.LoadAbsolute{Off: c.offset, Size: c.size},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: c.low}, bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: c.high})
	}
	program = append(program, bpf.RetConstant{Val: size}, bpf.RetConstant{Val: 0})
	for at, instruction := range program {
		if jump, ok := instruction.(bpf.JumpIf); ok {
			jump.SkipTrue = uint8(len(program) - at - 2) // to the last instruction
			program[at] = jump
		}
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // the conditions are constants
	}
	return raw
}
