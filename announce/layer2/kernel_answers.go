package layer2

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Announced is what the announcers may announce, as far as it concerns this node.
type Announced struct {
	// Interfaces that are in a LAN in which addresses may be announced, by name.
	Interfaces []string
	// Addresses returns the addresses.
	Addresses func() []netip.Addr
	// Arrivals returns the interfaces on which requests for an address may arrive; none for one that
	// is not among the Addresses. Out is the one by which the kernel sends to the address; "" if there
	// is none.
	Arrivals func(netip.Addr) (on []string, out string)
}

// KernelAnswers says whether the kernel of this node answers by itself for addresses that may be
// announced, whichever node announces them. If it does, more than one node answers for them. It
// returns a sentence that says so, names the cause and how to repair it; "" if the kernel does not
// answer.
func (l *Links) KernelAnswers(a Announced) string {
	n := l.readKernelNet(a.Interfaces)
	return cmp.Or(n.ownAddresses(l.kernel.all(), a), n.others(a))
}

// kernelNet is how the kernel is set up, besides its own addresses, to answer for addresses.
type kernelNet struct {
	// settings are by interface.
	settings map[string]kernelSettings
	// local are the prefixes of local routes that are no addresses of the kernel: it takes what is
	// sent there for itself.
	local []netip.Prefix
	// proxies are the addresses that it was told to answer for on an interface, anycast those which it
	// answers for as a router does.
	proxies map[proxyEntry]bool
	anycast map[proxyEntry]bool
}

type proxyEntry struct {
	addr netip.Addr
	on   string
}

// kernelSettings are the sysctls of an interface, in net.ipv4.conf unless they say otherwise. Of
// some, that of all interfaces counts too.
type kernelSettings struct {
	// ignore and announce are arp_ignore and arp_announce, the higher ones of those of the interface
	// and of all.
	ignore, announce int
	// filter is arp_filter; out is the interface by which the kernel sends to the LAN.
	filter bool
	out    string
	// forwarding is that of the interface, for IPv4, and forwarding6 for IPv6.
	forwarding, forwarding6 bool
	// proxyARP, pvlan and proxyNDP are where proxy_arp, proxy_arp_pvlan and net.ipv6's proxy_ndp are
	// set: the interface or "all"; "" for neither.
	proxyARP, pvlan, proxyNDP string
	// medium is medium_id: proxy_arp does not answer for what is on the same medium, nor on -1.
	medium int
}

// filters says whether arp_filter keeps the kernel from answering on an interface for addresses of
// others.
func (s kernelSettings) filters(on string) bool { return s.filter && s.out != "" && s.out != on }

// ownAddresses says whether the kernel answers for addresses that it has itself.
func (n kernelNet) ownAddresses(has map[netip.Addr][]string, a Announced) string {
	var first kernelReply
	var count int
	for addr, owners := range has {
		arrivals, out := a.Arrivals(addr)
		for _, on := range arrivals {
			s := n.settings[on]
			s.out = out
			i := slices.IndexFunc(owners, func(has string) bool {
				reply := kernelReplyFor(addr, has, on, s)
				return reply.answers || reply.announces
			})
			if i < 0 {
				continue
			}
			if count++; count == 1 || addr.Less(first.addr) {
				first = kernelReplyFor(addr, owners[i], on, s)
			}
			break
		}
	}
	if count == 0 {
		return ""
	}
	return first.sentence(count - 1)
}

// others says whether the kernel answers for addresses that it does not have.
func (n kernelNet) others(a Announced) string {
	if !n.answersForOthers() {
		return ""
	}
	addresses := a.Addresses()
	slices.SortFunc(addresses, netip.Addr.Compare)
	for _, addr := range addresses {
		arrivals, out := a.Arrivals(addr)
		for _, on := range arrivals {
			if why := n.why(addr, on, out); why != "" {
				return fmt.Sprintf("The kernel answers for %s on %s, and so maybe for more, whichever node announces it: %s.", addr, on, why)
			}
		}
	}
	return ""
}

// answersForOthers says whether the kernel may answer for any address that it does not have.
func (n kernelNet) answersForOthers() bool {
	if len(n.local)+len(n.proxies)+len(n.anycast) > 0 {
		return true
	}
	for _, s := range n.settings {
		if s.proxyARP != "" || s.pvlan != "" {
			return true
		}
	}
	return false
}

// why says what has the kernel answer on an interface for an address that it does not have, and what
// to do about it, as a half sentence; "" if it does not answer. out is the interface by which it sends
// to the address (arp_process in net/ipv4/arp.c, ndisc_recv_ns in net/ipv6/ndisc.c).
func (n kernelNet) why(addr netip.Addr, on, out string) string {
	if addr.Is6() {
		return n.why6(addr, on)
	}
	s := n.settings[on]
	s.out = out
	if i := slices.IndexFunc(n.local, func(p netip.Prefix) bool { return p.Contains(addr) }); i >= 0 {
		if answers := s.ignore == 0 && !s.filters(on); !answers {
			return ""
		}
		return fmt.Sprintf("it has the local route %s: delete that (ip route del local %s), or set the sysctl net.ipv4.conf.all.arp_ignore=1",
			n.local[i], n.local[i])
	}
	switch {
	case !s.forwarding || out == "":
		return ""
	case s.pvlan != "" && out == on:
		return unset("ipv4", s.pvlan, "proxy_arp_pvlan")
	case out == on:
		return ""
	case s.proxyARP != "" && (s.medium == 0 || s.medium > 0 && n.settings[out].medium != s.medium && n.settings[out].medium != -1):
		return unset("ipv4", s.proxyARP, "proxy_arp")
	case n.proxies[proxyEntry{addr, on}]:
		return fmt.Sprintf("it was told to as a proxy: ip neigh del proxy %s dev %s", addr, on)
	}
	return ""
}

func (n kernelNet) why6(addr netip.Addr, on string) string {
	s, entry := n.settings[on], proxyEntry{addr, on}
	switch {
	case n.anycast[entry]:
		return "it is the anycast address of the routers of the network (RFC 4291, section 2.6.1): exclude it from its IPAddressPool"
	case n.proxies[entry] && s.forwarding6 && s.proxyNDP != "":
		return fmt.Sprintf("it was told to as a proxy: ip neigh del proxy %s dev %s, or set the sysctl net.ipv6.conf.%s.proxy_ndp=0",
			addr, on, s.proxyNDP)
	}
	return ""
}

func unset(family, where, what string) string {
	sysctl := fmt.Sprintf("net.%s.conf.%s.%s", family, where, what)
	return fmt.Sprintf("the sysctl %s is set: set %s=0", sysctl, sysctl)
}
