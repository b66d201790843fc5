package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame that crossed a device.
type Frame struct {
	// Time is when the kernel saw it.
	Time time.Time
	// Outgoing means that the host sent it.
	Outgoing bool
	// Data is the frame from its destination address on, without a frame check sequence.
	Data []byte
}

// Sniffer records frames.
type Sniffer struct {
	file *os.File
	done chan struct{}

	mu      sync.Mutex
	frames  []Frame
	changed chan struct{} // closed and replaced when a frame is added
}

// Sniff records the frames that cross a device of the host, in both directions, from now on. The
// filter is an expression as tcpdump knows it ("arp", "tcp port 80"), all frames if empty. On a
// bridge of the switch, which is a LAN, it records every frame of that LAN.
func (h *Host) Sniff(ctx context.Context, device, filter string) (*Sniffer, error) {
	program, err := h.compile(ctx, device, filter)
	if err != nil {
		return nil, err
	}
	var fd int
	err = h.Do(func() error {
		fd, err = sniffSocket(device, program)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sniff %s of %s: %w", device, h.Name, err)
	}
	s := &Sniffer{file: os.NewFile(uintptr(fd), device), done: make(chan struct{}), changed: make(chan struct{})}
	go s.read()
	return s, nil
}

// Stop ends the recording. It may be called more than once.
func (s *Sniffer) Stop() {
	s.file.Close()
	<-s.done
}

// Frames returns what has been recorded so far.
func (s *Sniffer) Frames() []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.frames)
}

// Await returns the first recorded frame, past or future, that matches.
func (s *Sniffer) Await(ctx context.Context, match func(Frame) bool) (Frame, error) {
	for next := 0; ; {
		s.mu.Lock()
		frames, changed := s.frames[next:], s.changed
		s.mu.Unlock()
		for _, frame := range frames {
			if match(frame) {
				return frame, nil
			}
		}
		next += len(frames)
		select {
		case <-changed:
		case <-s.done:
			return Frame{}, errors.New("the sniffer was stopped")
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("wait for a frame: %w (%d others were seen)", ctx.Err(), next)
		}
	}
}

// compile turns a filter expression into a socket filter. tcpdump has the compiler.
func (h *Host) compile(ctx context.Context, device, filter string) ([]unix.SockFilter, error) {
	if filter == "" {
		return nil, nil
	}
	text, err := h.Run(ctx, "tcpdump", "-i", device, "-ddd", filter)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")[1:] // the first is their number
	program := make([]unix.SockFilter, 0, len(lines))
	for _, line := range lines {
		var op unix.SockFilter
		if _, err := fmt.Sscan(line, &op.Code, &op.Jt, &op.Jf, &op.K); err != nil {
			return nil, fmt.Errorf("tcpdump -ddd wrote %q: %w", line, err)
		}
		program = append(program, op)
	}
	return program, nil
}

func sniffSocket(device string, program []unix.SockFilter) (fd int, err error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	// Protocol 0 until the filter is in place: nothing is received that it would not let pass.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if len(program) > 0 {
		filter := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter); err != nil {
			return 0, err
		}
	}
	promiscuous := &unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_PROMISC}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, promiscuous),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: link.Index}),
	)
	return fd, err
}

func (s *Sniffer) read() {
	defer close(s.done)
	raw, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	data, control := make([]byte, 1<<16), make([]byte, 256)
	for {
		var n, controlLen int
		var from unix.Sockaddr
		var recvErr error
		err := raw.Read(func(fd uintptr) bool {
			n, controlLen, _, from, recvErr = unix.Recvmsg(int(fd), data, control, 0)
			return recvErr != unix.EAGAIN
		})
		if err != nil {
			return // stopped
		}
		if recvErr != nil {
			continue // the link went down, or the queue overran
		}
		link, _ := from.(*unix.SockaddrLinklayer)
		s.add(Frame{
			Time:     timestamp(control[:controlLen]),
			Outgoing: link != nil && link.Pkttype == unix.PACKET_OUTGOING,
			Data:     slices.Clone(data[:n]),
		})
	}
}

func (s *Sniffer) add(frame Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frame)
	close(s.changed)
	s.changed = make(chan struct{})
}

// timestamp returns the kernel's time from a control message.
func timestamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			seconds, nanoseconds := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(seconds), int64(nanoseconds))
		}
	}
	return time.Now()
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// String shows the frame's addresses and type, for messages.
func (f Frame) String() string {
	if len(f.Data) < 14 {
		return "short frame"
	}
	return fmt.Sprintf("%s %s > %s type 0x%s, %d bytes", f.Time.Format("15:04:05.000000"), net.HardwareAddr(f.Data[6:12]),
		net.HardwareAddr(f.Data[:6]), strconv.FormatUint(uint64(binary.BigEndian.Uint16(f.Data[12:])), 16), len(f.Data))
}
