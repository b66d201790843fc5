package layer2

import (
	"net"
	"net/netip"
)

// protocol is the protocol by which hosts on a link find the hardware addresses of one IP family.
type protocol string

const (
	// arpProtocol is for IPv4 (RFC 826, RFC 5227).
	arpProtocol protocol = "ARP"
	// ndpProtocol is for IPv6 (RFC 4861).
	ndpProtocol protocol = "NDP"
)

func protocolOf(addr netip.Addr) protocol {
	if addr.Is4() {
		return arpProtocol
	}
	return ndpProtocol
}

// forms is how many packets an announcement has. With ARP there are two forms, because receivers
// differ in which they take.
func (p protocol) forms() int {
	if p == arpProtocol {
		return 2
	}
	return 1
}

// unspecified is the source address of a host that has none yet.
func (p protocol) unspecified() netip.Addr {
	if p == arpProtocol {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// message is what a packet of either protocol says: that an address is at a hardware address, or
// which address its sender looks for, or both.
type message struct {
	// source is the hardware address that the frame came from.
	source net.HardwareAddr
	// from and mac are the addresses of the sender by the packet. from is unspecified for a probe.
	// mac differs from source if the packet was sent in the name of another host.
	from netip.Addr
	mac  net.HardwareAddr
	// claims is the address that the packet says is at mac. Not valid if there is none.
	claims netip.Addr
	// asks is the address that the sender looks for. Not valid if there is none.
	asks netip.Addr
}

// probes says whether the message is a probe: its sender wants to take the address that it asks for
// if it is free.
func (m message) probes() bool { return m.asks.IsValid() && m.from.IsUnspecified() }

// conn is a socket for one protocol on one interface. One goroutine may read and answer while
// others call the other methods. A read ends with an error when the conn is closed.
type conn interface {
	// read returns the next valid message. Messages about addresses that were joined or asked for
	// arrive, others may.
	read() (message, error)
	// answer tells the sender of the message that the address it asks for is at mac.
	answer(m message, mac net.HardwareAddr) error
	// announce tells all hosts that an address is at the interface's hardware address. Forms count
	// from 0.
	announce(addr netip.Addr, form int) error
	// ask asks the host with the hardware address to for an address, or all hosts if it is nil. If
	// from is unspecified, it is a probe; probes of other hosts for the same address arrive only if
	// the address was joined.
	ask(addr, from netip.Addr, to net.HardwareAddr) error
	// join has requests for an address arrive, and announcements of it, until leave was called as
	// often as join. It returns an error if the system refuses.
	join(addr netip.Addr) error
	leave(addr netip.Addr)
	close() error
}
