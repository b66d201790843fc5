package speaker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/bgp"
)

const (
	defaultPort = 179
	// minDialTimeout is the shortest time that a peer gets to accept a connection.
	minDialTimeout = 2 * time.Second
	// tosInternetworkControl is DSCP CS6, which routers give precedence to.
	tosInternetworkControl = 0xc0
	// maxTTL is what a neighbour must send with that wants to show that it is one (RFC 5082).
	maxTTL = 255
)

// dialPeer connects to a peer at an address.
func dialPeer(ctx context.Context, peer bgp.Peer, address netip.Addr) (*net.TCPConn, error) {
	port := peer.Port
	if port == 0 {
		port = defaultPort
	}
	dialer := net.Dialer{
		Timeout:   max(peer.EffectiveConnectTime()-time.Second, minDialTimeout),
		KeepAlive: -1, // BGP has its own
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) { err = setOptions(int(fd), peer, address) }); e != nil {
				return e
			}
			return err
		},
	}
	if peer.Source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(peer.Source, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// setOptions makes a socket ready to connect to a peer.
func setOptions(fd int, peer bgp.Peer, address netip.Addr) error {
	set := func(name string, level, option, value int) error {
		return os.NewSyscallError("set "+name, unix.SetsockoptInt(fd, level, option, value))
	}
	level, ttl, minTTL, tos := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MINTTL, unix.IP_TOS
	if address.Is6() {
		level, ttl, minTTL, tos = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MINHOPCOUNT, unix.IPV6_TCLASS
	}
	if err := set("DSCP", level, tos, tosInternetworkControl); err != nil {
		return err
	}
	switch {
	case peer.SecurityHops != 0:
		if err := set("TTL", level, ttl, maxTTL); err != nil {
			return err
		}
		if err := set("least TTL", level, minTTL, maxTTL+1-int(peer.SecurityHops)); err != nil {
			return err
		}
	case peer.PeerASN != 0 && !peer.Internal():
		if err := set("TTL", level, ttl, max(int(peer.MultihopTTL), 1)); err != nil {
			return err
		}
	}
	if peer.Interface != "" {
		if err := unix.BindToDevice(fd, peer.Interface); err != nil {
			return os.NewSyscallError("bind to "+peer.Interface, err)
		}
	}
	if peer.Password == "" {
		return nil
	}
	signature, err := md5Signature(peer, address)
	if err != nil {
		return err
	}
	return os.NewSyscallError("set password", unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, signature))
}

// md5Signature is what signs segments to and from an address (RFC 2385).
func md5Signature(peer bgp.Peer, address netip.Addr) (*unix.TCPMD5Sig, error) {
	s := &unix.TCPMD5Sig{Keylen: uint16(len(peer.Password))}
	copy(s.Key[:], peer.Password)
	if address.Is4() {
		s.Addr.Family = unix.AF_INET
		copy(s.Addr.Data[2:], address.AsSlice()) // after the port
	} else {
		s.Addr.Family = unix.AF_INET6
		copy(s.Addr.Data[6:], address.AsSlice()) // after the port and the flow
	}
	if peer.Interface == "" {
		return s, nil
	}
	// The kernel takes an interface here only if it is that of a VRF.
	link, err := netlink.LinkByName(peer.Interface)
	if err != nil {
		return nil, fmt.Errorf("find the interface %s: %w", peer.Interface, err)
	}
	if link.Type() == "vrf" {
		s.Ifindex = int32(link.Attrs().Index)
		s.Flags |= unix.TCP_MD5SIG_FLAG_IFINDEX
	}
	return s, nil
}
