package echo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetConn is a UDP socket of one family on all addresses that answers from the address it was
// asked at. A plain wildcard socket would answer from whichever address the route to the client
// prefers, and a client that sent to another address of the same node would drop the answer.
type packetConn struct {
	*net.UDPConn
	port uint16
}

// listenPackets opens port in every family that this network namespace has.
func listenPackets(port uint16) ([]*packetConn, error) {
	var conns []*packetConn
	for _, family := range []struct {
		network       string
		level, option int
	}{
		{"udp4", unix.IPPROTO_IP, unix.IP_PKTINFO},
		{"udp6", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO},
	} {
		conn, err := net.ListenUDP(family.network, &net.UDPAddr{Port: int(port)})
		if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue
		}
		if err == nil {
			conns = append(conns, &packetConn{conn, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()})
			err = setOption(conn, family.level, family.option)
		}
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
	}
	if len(conns) == 0 {
		return nil, fmt.Errorf("port %d: no address family", port)
	}
	return conns, nil
}

func setOption(conn *net.UDPConn, level, option int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}

// serve answers every datagram with one line until the socket is closed.
func (p *packetConn) serve(answer func(client, local netip.AddrPort) Answer) error {
	var datagram [65536]byte
	var control [128]byte
	for {
		_, n, _, client, err := p.ReadMsgUDPAddrPort(datagram[:], control[:])
		if err != nil {
			return err
		}
		local, from := destination(control[:n])
		line := answer(client, netip.AddrPortFrom(local, p.port)).String() + "\n"
		// A client that cannot be reached is no reason to stop answering the others.
		if _, _, err := p.WriteMsgUDPAddrPort([]byte(line), from, client); errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// destination finds the address a datagram was sent to in its control messages, and the control
// message that makes an answer leave from there. The interface is left to the routing table.
func destination(control []byte) (netip.Addr, []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return netip.Addr{}, nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0]))
			return netip.AddrFrom4(info.Addr), unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: info.Addr})
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			back := unix.Inet6Pktinfo{Addr: info.Addr}
			addr := netip.AddrFrom16(info.Addr)
			if addr.IsLinkLocalUnicast() {
				back.Ifindex = info.Ifindex
			}
			return addr, unix.PktInfo6(&back)
		}
	}
	return netip.Addr{}, nil
}
