package layer2

import (
	"cmp"
	"errors"
	"fmt"
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

// Permitted says whether this process may open packet sockets, without which nobody gets an answer from it.
func (*Links) Permitted() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	return unix.Close(fd)
}

// socket is a packet socket for one protocol on one interface. The kernel writes and strips the
// Ethernet header. So every frame leaves from the hardware address that the interface has at that
// moment.
type socket struct {
	*packet.Conn
}

// receiveBuffer, which the kernel doubles, has room for some 10,000 frames of ARP: what a LAN may ask while the process does not run. The
// default has room for 250.
const receiveBuffer = 4 << 20

func newSocket(i Interface, etherType int, filter []bpf.RawInstruction) (socket, error) {
	c, err := packet.Listen(&net.Interface{Index: i.Index, Name: i.Name, HardwareAddr: i.MAC}, packet.Datagram,
		etherType, &packet.Config{Filter: filter})
	if err != nil {
		return socket{}, err
	}
	return socket{c}, enlarge(c)
}

// enlarge gives a socket the receive buffer, or what net.core.rmem_max allows if this process may not have more.
func enlarge(c *packet.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	})
	return cmp.Or(err, refused)
}

func (s socket) send(b []byte, to net.HardwareAddr) error {
	_, err := s.WriteTo(b, &packet.Addr{HardwareAddr: to})
	// A full queue drops the packet, as the network might.
	if errors.Is(err, unix.ENOBUFS) {
		return nil
	}
	return err
}

// condition is true for a packet if the number in size bytes at the offset is in the range. Offsets
// count from the end of the Ethernet header.
type condition struct {
	offset    uint32
	size      int
	low, high uint32
}

func equals(offset uint32, size int, value uint32) condition {
	return condition{offset, size, value, value}
}

// newFilter returns a filter for packets to this host, to all or to a group. It passes those for
// which all conditions in all are true, and at least one in any unless that is empty. It cuts them
// off after size bytes.
//
// A packet of a VLAN that the interface is not in arrives at the socket without its tag. The kernel
// then marks it as one for another host, or as one that had a tag, and the filter drops it. A
// packet that was tagged for priority alone, with VLAN 0, passes.
func newFilter(size uint32, all, any []condition) []bpf.RawInstruction {
	const drop, accept = 1, 2 // where these instructions are, counted from the end of the program
	type jump struct{ at, to int }
	var jumps []jump
	var program []bpf.Instruction
	add := func(i bpf.Instruction) { program = append(program, i) }
	jumpIf := func(test bpf.JumpTest, value uint32, to int) {
		jumps = append(jumps, jump{len(program), to})
		add(bpf.JumpIf{Cond: test, Val: value})
	}
	add(bpf.LoadExtension{Num: bpf.ExtType})
	jumpIf(bpf.JumpGreaterThan, unix.PACKET_MULTICAST, drop)
	add(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent})
	jumpIf(bpf.JumpNotEqual, 0, drop)
	for _, c := range all {
		add(bpf.LoadAbsolute{Off: c.offset, Size: c.size})
		jumpIf(bpf.JumpLessThan, c.low, drop)
		jumpIf(bpf.JumpGreaterThan, c.high, drop)
	}
	for _, c := range any {
		add(bpf.LoadAbsolute{Off: c.offset, Size: c.size})
		add(bpf.JumpIf{Cond: bpf.JumpLessThan, Val: c.low, SkipTrue: 1})
		jumpIf(bpf.JumpLessOrEqual, c.high, accept)
	}
	if len(any) > 0 {
		add(bpf.RetConstant{Val: 0})
	}
	add(bpf.RetConstant{Val: size})
	add(bpf.RetConstant{Val: 0})
	for _, j := range jumps {
		i := program[j.at].(bpf.JumpIf)
		i.SkipTrue = uint8(len(program) - j.to - j.at - 1)
		program[j.at] = i
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // the conditions are few, and their sizes constants
	}
	return raw
}
