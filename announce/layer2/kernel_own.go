package layer2

import (
	"fmt"
	"net/netip"
)

// kernelReply is how the kernel by itself answers for an address that it has.
type kernelReply struct {
	addr netip.Addr
	// has is the interface that has the address, and on the one where requests for it arrive.
	has, on string
	// answers says that the kernel answers these requests.
	answers bool
	// announces says that the kernel names the address as the sender of its own ARP requests on
	// that interface.
	announces bool
}

// kernelReplyFor returns how the kernel answers on one interface for an address that another or the
// same has.
//
// It answers ARP requests for the addresses of all interfaces, unless arp_ignore forbids that (1
// and 2: only for those of the interface; 8: for none), or arp_filter, where it would send by another
// interface. It may name the address of any interface as
// the sender of its requests, unless arp_announce forbids that (2). It answers neighbour
// solicitations only for the IPv6 addresses of the interface.
func kernelReplyFor(addr netip.Addr, has, on string, s kernelSettings) kernelReply {
	k := kernelReply{addr: addr, has: has, on: on}
	switch {
	case has == on:
		k.answers, k.announces = s.ignore != 8 || addr.Is6(), true
	case addr.Is4():
		k.answers, k.announces = (s.ignore == 0 || s.ignore == 3) && !s.filters(on), s.announce < 2
	}
	return k
}

// sentence says what is wrong and how to repair it. more is how many other addresses have the same
// fault.
func (k kernelReply) sentence(more int) string {
	what := fmt.Sprintf("The kernel has %s on %s", k.addr, k.has)
	if more == 1 {
		what += " (and 1 more address alike)"
	} else if more > 1 {
		what += fmt.Sprintf(" (and %d more addresses alike)", more)
	}
	switch {
	case k.has == k.on:
		return what + " itself and so tells the network that it is at this node, always: take it off the interface."
	case k.answers && k.announces:
		what += fmt.Sprintf(" and answers ARP requests for it on %s, and names it in its own", k.on)
	case k.answers:
		what += fmt.Sprintf(" and answers ARP requests for it on %s", k.on)
	default:
		what += fmt.Sprintf(" and names it as the sender of its ARP requests on %s", k.on)
	}
	return what + ", so that the network finds it at this node whichever announces it: " +
		"set strictARP: true in kube-proxy's configuration, or the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2."
}
