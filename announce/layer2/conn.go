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

// question is what a neighbour asks: at which hardware address is addr?
type question struct {
	addr netip.Addr
	// from and mac are the addresses of who asks. from is unspecified if the asker has none yet and wants to know whether it
	// may take addr.
	from netip.Addr
	mac  net.HardwareAddr
}

// conn speaks a protocol on an interface. What it says is that an address is at the interface's hardware address. One
// goroutine may read and answer while another does the rest; closing it ends a read.
type conn interface {
	// read returns the next question that is valid and may be answered, for whatever address.
	read() (question, error)
	// answer answers a question.
	answer(question) error
	// announce tells all neighbours of an address in one of the forms that the protocol has, which count from 0.
	announce(addr netip.Addr, form int) error
	// join makes sure that questions for an address arrive; until there were as many calls of leave. It fails if the
	// system refuses.
	join(addr netip.Addr) error
	leave(addr netip.Addr)
	close() error
}
