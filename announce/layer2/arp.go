package layer2

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	nobody    = net.HardwareAddr{0, 0, 0, 0, 0, 0}
)

// asked returns the question that an ARP packet asks, if it is one that may be answered. The probes of RFC 5227, whose
// sender has no address yet, are questions; announcements are not: their sender asks for its own address.
func asked(p *arp.Packet) (question, bool) {
	ok := p.Operation == arp.OperationRequest &&
		p.TargetIP.Is4() && p.SenderIP.Is4() && p.SenderIP != p.TargetIP &&
		isStation(p.SenderHardwareAddr)
	return question{addr: p.TargetIP, from: p.SenderIP, mac: p.SenderHardwareAddr}, ok
}

// isStation tells whether mac is the Ethernet address of one station, and not of many.
func isStation(mac net.HardwareAddr) bool {
	const group = 1
	return len(mac) == len(broadcast) && mac[0]&group == 0
}

// reply tells who asked that the address is at mac.
func reply(q question, mac net.HardwareAddr) *arp.Packet {
	return newPacket(arp.OperationReply, mac, q.addr, q.mac, q.from)
}

// gratuitous tells everybody that the address is at mac. Receivers differ in which form they take: Linux takes a reply
// at once only if its target hardware address is that of the sender.
func gratuitous(form arp.Operation, mac net.HardwareAddr, addr netip.Addr) *arp.Packet {
	target := nobody
	if form == arp.OperationReply {
		target = mac
	}
	return newPacket(form, mac, addr, target, addr)
}

// arpForms are the forms of an announcement in their order.
var arpForms = [...]arp.Operation{arp.OperationRequest, arp.OperationReply}

// newPacket is an ARP packet for Ethernet and IPv4. Unlike arp.NewPacket it cannot fail; its callers hold addresses that fit.
func newPacket(op arp.Operation, fromMAC net.HardwareAddr, from netip.Addr, toMAC net.HardwareAddr, to netip.Addr) *arp.Packet {
	const ethernet, ipv4 = 1, 0x0800
	return &arp.Packet{
		HardwareType: ethernet, ProtocolType: ipv4, HardwareAddrLength: 6, IPLength: 4, Operation: op,
		SenderHardwareAddr: fromMAC, SenderIP: from, TargetHardwareAddr: toMAC, TargetIP: to,
	}
}
