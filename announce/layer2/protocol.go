package layer2

import (
	"net"
	"net/netip"
)

// protocol is how neighbours find out the hardware addresses of one IP family.
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

// forms are in how many ways an address is announced at a time. With ARP there are two, because receivers differ in which
// they take.
func (p protocol) forms() int {
	if p == arpProtocol {
		return 2
	}
	return 1
}

// unspecified is the address of who has none yet.
func (p protocol) unspecified() netip.Addr {
	if p == arpProtocol {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// message is what a neighbour says: where an address is, for which one it looks, or both.
type message struct {
	// source is where the frame came from.
	source net.HardwareAddr
	// from and mac are the addresses of the neighbour. from is unspecified if it has none yet and wants to know whether it may
	// take the one that it asks for. mac differs from source if somebody speaks for somebody else.
	from netip.Addr
	mac  net.HardwareAddr
	// claims is the address that is at mac. Not valid if the neighbour does not say so of any.
	claims netip.Addr
	// asks is the address for which it looks. Not valid if there is none.
	asks netip.Addr
}

// probes tells whether the neighbour wants to know if it may take the address that it asks for.
func (m message) probes() bool { return m.asks.IsValid() && m.from.IsUnspecified() }

// conn speaks a protocol on an interface. One goroutine may read and answer while others do the rest; closing it ends a read.
type conn interface {
	// read returns the next message that is valid and about an address that was joined or asked for, or about another one.
	read() (message, error)
	// answer tells who asked that the address is at mac.
	answer(m message, mac net.HardwareAddr) error
	// announce tells all neighbours that an address is at the interface's hardware address, in one of the forms that the
	// protocol has, which count from 0.
	announce(addr netip.Addr, form int) error
	// ask asks all neighbours for an address. If from is unspecified, that is to find out whether it is free, and those who
	// want to know the same are heard only if the address was joined.
	ask(addr, from netip.Addr) error
	// join makes sure that what is sent to those who have an address arrives, and what is said of it to all; until there were
	// as many calls of leave. It fails if the system refuses.
	join(addr netip.Addr) error
	leave(addr netip.Addr)
	close() error
}
