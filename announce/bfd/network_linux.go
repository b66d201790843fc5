package bfd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// linux is the network of the namespace that the calling thread is in.
type linux struct{}

const (
	// classSelector6 is the DSCP of routing protocols, CS6, in its place in the header.
	classSelector6 = 6 << 5
	// priority has packets leave a congested interface before those of others. It is the highest that needs no privilege.
	priority = 6
	// bufferSize is for what arrives while this process waits for a processor: thousands of packets.
	bufferSize = 4 << 20
)

func (linux) listen(s service) (listener, error) {
	family, level, options := "udp4", unix.IPPROTO_IP, []int{unix.IP_PKTINFO, unix.IP_RECVTTL}
	if s.six {
		family, level, options = "udp6", unix.IPPROTO_IPV6, []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT}
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			for _, option := range options {
				err = errors.Join(err, unix.SetsockoptInt(int(fd), level, option, 1))
			}
			// Without the privilege, the limit of the system has to do.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) != nil {
				err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize))
			}
		}); e != nil {
			return e
		}
		return err
	}}
	conn, err := config.ListenPacket(context.Background(), family, fmt.Sprintf(":%d", s.port()))
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %d", ErrPortTaken, s.port())
	}
	if err != nil {
		return nil, fmt.Errorf("open a socket for BFD: %w", err)
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("open a socket for BFD: %w", err)
	}
	return &udpListener{udp: udp, raw: raw}, nil
}

// udpListener is a listener on a real socket.
type udpListener struct {
	udp     *net.UDPConn
	raw     syscall.RawConn
	payload [256]byte
	control [128]byte
}

func (l *udpListener) await(arrived func()) {
	l.raw.Read(func(uintptr) bool {
		arrived()
		return false // until there is more
	})
}

func (l *udpListener) close() { l.udp.Close() }

// receive does not go through what net.UDPConn has for it, because somebody may wait in there.
func (l *udpListener) receive() (datagram, bool) {
	var d datagram
	var ok bool
	l.raw.Control(func(fd uintptr) {
		for {
			n, controls, _, from, err := unix.Recvmsg(int(fd), l.payload[:], l.control[:], unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			if ok = err == nil; ok {
				d = datagram{payload: l.payload[:n], from: addressOf(from)}
				d.read(l.control[:controls])
			}
			return
		}
	})
	return d, ok
}

// read reads what the kernel says of the datagram.
func (d *datagram) read(controls []byte) {
	for len(controls) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(controls)
		if err != nil {
			return
		}
		controls = rest
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TTL,
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_HOPLIMIT:
			d.ttl = uint8(binary.NativeEndian.Uint32(data))
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
			d.ifi = int(binary.NativeEndian.Uint32(data))
			d.to = netip.AddrFrom4([4]byte(data[8:])) // after the address of the interface
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO:
			d.to = netip.AddrFrom16([16]byte(data))
			d.ifi = int(binary.NativeEndian.Uint32(data[16:]))
		}
	}
}

func addressOf(s unix.Sockaddr) netip.Addr {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(s.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(s.Addr)
	}
	return netip.Addr{}
}

func (linux) index(name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err == nil {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
			unix.Close(fd)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("look for interface %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// dial connects the socket, so that the kernel tells when the neighbour's host refuses what is sent, and lets nobody else's packets
// pile up in it.
func (n linux) dial(s Session, port uint16) (sender, error) {
	var ifi int
	if s.Interface != "" {
		var err error
		if ifi, err = n.index(s.Interface); err != nil {
			return nil, err
		}
	}
	family, any := unix.AF_INET, netip.IPv4Unspecified()
	if s.Peer.Is6() {
		family, any = unix.AF_INET6, netip.IPv6Unspecified()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("open a socket to send: %w", err)
	}
	local := s.Local
	if !local.IsValid() {
		local = any
	}
	err = setUp(fd, s)
	if err == nil {
		if err = unix.Bind(fd, sockaddr(local, port, ifi)); err == unix.EADDRINUSE {
			err = errSourcePortTaken
		}
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(s.Peer, s.service().port(), ifi))
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("send to %s: %w", s.Peer, err)
	}
	return udpSender(fd), nil
}

// setUp sets the options of a socket to send from.
func setUp(fd int, s Session) error {
	level, options := unix.IPPROTO_IP, map[int]int{unix.IP_TTL: 255, unix.IP_TOS: classSelector6}
	if s.Peer.Is6() {
		level, options = unix.IPPROTO_IPV6, map[int]int{unix.IPV6_UNICAST_HOPS: 255, unix.IPV6_TCLASS: classSelector6}
	}
	var errs []error
	for option, value := range options {
		errs = append(errs, unix.SetsockoptInt(fd, level, option, value))
	}
	errs = append(errs, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority)) // which the one of the class would undo
	if s.Interface != "" {
		errs = append(errs, unix.BindToDevice(fd, s.Interface))
	}
	return errors.Join(errs...)
}

func sockaddr(addr netip.Addr, port uint16, ifi int) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
	}
	s := &unix.SockaddrInet6{Addr: addr.As16(), Port: int(port)}
	if addr.IsLinkLocalUnicast() {
		s.ZoneId = uint32(ifi)
	}
	return s
}

// udpSender is a sender on a real socket, by its descriptor. Go's poller is not told of it, because it would be woken whenever a packet
// has left.
type udpSender int

func (s udpSender) send(b []byte) error {
	refused := false
	for {
		_, err := unix.Write(int(s), b)
		switch {
		case err == nil && refused:
			return ErrNotListening
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case err == unix.ECONNREFUSED && !refused:
			refused = true // that was about an earlier packet, and this one has not left
			continue
		case err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.EPERM || err == unix.ECONNREFUSED:
			return fmt.Errorf("%w: %w", errLost, err)
		}
		return fmt.Errorf("send: %w", err)
	}
}

func (s udpSender) close() { unix.Close(int(s)) }
