package bfd

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pollSockets are UDP sockets in the network namespace of its thread, which waits for them by ppoll.
type pollSockets struct {
	// event is an eventfd, which is readable after wake, and clock a timerfd, which is at the time of the alarm.
	event     int
	clock     int
	listeners []*udpListener
	polled    []unix.PollFd
}

// attach returns the sockets for the calling goroutine, and locks the goroutine to its thread. The
// thread waits in the kernel and not in Go's poller, so that no other goroutine delays it. It gets
// a high priority on a busy node if this process may set one.
func attach() (sockets, error) {
	runtime.LockOSThread()
	unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("prepare to wait for BFD packets: %w", err)
	}
	clock, err := newTimer()
	if err != nil {
		unix.Close(event)
		return nil, err
	}
	return &pollSockets{event: event, clock: clock}, nil
}

func (u *pollSockets) wake() {
	unix.Write(u.event, binary.NativeEndian.AppendUint64(nil, 1)) // fails only if the counter is full, and thus readable
}

func (u *pollSockets) alarm(at time.Time) { setTimer(u.clock, at) }

func (u *pollSockets) close() {
	unix.Close(u.event)
	unix.Close(u.clock)
}

func (u *pollSockets) wait(arrivals bool) {
	u.polled = append(u.polled[:0], unix.PollFd{Fd: int32(u.event), Events: unix.POLLIN}, unix.PollFd{Fd: int32(u.clock), Events: unix.POLLIN})
	if arrivals {
		for _, l := range u.listeners {
			u.polled = append(u.polled, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
		}
	}
	if n, err := unix.Ppoll(u.polled, nil, nil); err == nil && n > 0 && u.polled[0].Revents != 0 {
		var count [8]byte
		unix.Read(u.event, count[:])
	}
}

const (
	// classSelector6 is CS6, the DSCP of routing protocols (RFC 4594), as the traffic class octet.
	classSelector6 = 6 << 5
	// priority has packets leave a congested interface before others. It is the highest that needs
	// no privilege.
	priority = 6
	// bufferSize has room for the thousands of packets that may arrive while this process waits for
	// a processor.
	bufferSize = 4 << 20
)

// option is a socket option.
type option struct{ level, name, value int }

// open opens a UDP socket for IPv4, or for IPv6 if six is set.
func open(six bool, options ...option) (int, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return 0, err
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return 0, err
		}
	}
	return fd, nil
}

func (u *pollSockets) listen(s service) (listener, error) {
	any, options := netip.IPv4Unspecified(), []option{{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}, {unix.IPPROTO_IP, unix.IP_RECVTTL, 1}}
	if s.six {
		any, options = netip.IPv6Unspecified(), []option{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		}
	}
	options = append(options, option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}, option{unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize})
	fd, err := open(s.six, options...)
	if err != nil {
		return nil, fmt.Errorf("open a socket for BFD: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) // beyond net.core.rmem_max, if this process may
	if err := unix.Bind(fd, sockaddr(any, s.port(), 0)); err != nil {
		unix.Close(fd)
		if err == unix.EADDRINUSE {
			return nil, fmt.Errorf("%w: %d", ErrPortTaken, s.port())
		}
		return nil, fmt.Errorf("listen on UDP port %d: %w", s.port(), err)
	}
	l := &udpListener{sockets: u, fd: fd, emptied: time.Now()}
	u.listeners = append(u.listeners, l)
	return l, nil
}

// udpListener is a listener on a UDP socket.
type udpListener struct {
	sockets *pollSockets
	fd      int
	payload [256]byte
	control [128]byte
	// emptied is when nothing was left to receive the last time.
	emptied time.Time
}

func (l *udpListener) close() {
	l.sockets.listeners = slices.DeleteFunc(l.sockets.listeners, func(o *udpListener) bool { return o == l })
	unix.Close(l.fd)
}

func (l *udpListener) receive() (datagram, bool) {
	for {
		now := time.Now()
		n, controls, from, err := receiveNow(l.fd, l.payload[:], l.control[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.emptied = now
			return datagram{}, false
		}
		d := datagram{payload: l.payload[:n], from: from, at: now}
		d.read(l.control[:controls])
		if d.at.Before(l.emptied) { // the clock of the kernel's timestamps was set meanwhile
			d.at = l.emptied
		}
		return d, true
	}
}

// read reads the control messages of the kernel about the datagram, which is received at d.at.
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
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPNS:
			var arrived unix.Timespec
			if _, err := binary.Decode(data, binary.NativeEndian, &arrived); err == nil {
				d.at = d.at.Add(-max(d.at.Sub(time.Unix(arrived.Unix())), 0))
			}
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
			d.ifi = int(binary.NativeEndian.Uint32(data))
			d.to = netip.AddrFrom4([4]byte(data[8:])) // after the address of the interface
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO:
			d.to = netip.AddrFrom16([16]byte(data))
			d.ifi = int(binary.NativeEndian.Uint32(data[16:]))
		}
	}
}

func (u *pollSockets) index(name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err == nil {
		var fd int
		if fd, err = open(false); err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
			unix.Close(fd)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("look for interface %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// dial opens a socket and connects it. So the kernel reports if the peer's host refuses packets,
// and no packets of other hosts fill the socket's buffer.
func (u *pollSockets) dial(s Session, port uint16) (sender, error) {
	var ifi int
	if s.Interface != "" {
		var err error
		if ifi, err = u.index(s.Interface); err != nil {
			return nil, err
		}
	}
	local, options := netip.IPv4Unspecified(), []option{{unix.IPPROTO_IP, unix.IP_TTL, 255}, {unix.IPPROTO_IP, unix.IP_TOS, classSelector6}}
	if s.Peer.Is6() {
		local, options = netip.IPv6Unspecified(), []option{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, classSelector6},
		}
	}
	if s.Local.IsValid() {
		local = s.Local
	}
	// IP_TOS also sets the priority, so SO_PRIORITY has to come after it.
	fd, err := open(s.Peer.Is6(), append(options, option{unix.SOL_SOCKET, unix.SO_PRIORITY, priority})...)
	if err != nil {
		return nil, fmt.Errorf("open a socket to send to %s: %w", s.Peer, err)
	}
	if s.Interface != "" {
		err = unix.BindToDevice(fd, s.Interface)
	}
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

// udpSender is a sender on a UDP socket: its file descriptor.
type udpSender int

func (s udpSender) send(b []byte) error {
	refused := false
	for {
		err := sendNow(int(s), b)
		switch {
		case err == nil && refused:
			return ErrNotListening
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case err == unix.ECONNREFUSED && !refused:
			refused = true // the error is about an earlier packet, and this one was not sent
			continue
		case err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.EPERM || err == unix.ECONNREFUSED:
			return fmt.Errorf("%w: %w", errLost, err)
		}
		return fmt.Errorf("send: %w", err)
	}
}

func (s udpSender) close() { unix.Close(int(s)) }
