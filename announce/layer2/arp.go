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

// asked returns the address that a packet asks for, and whether it is a question that may be answered. The probes of
// RFC 5227, whose sender has no address yet, are questions; announcements are not: their sender asks for its own address.
func asked(p *arp.Packet) (netip.Addr, bool) {
	const group = 1 // the bit of an Ethernet address that stands for many
	question := p.Operation == arp.OperationRequest &&
		p.TargetIP.Is4() && p.SenderIP.Is4() && p.SenderIP != p.TargetIP &&
		len(p.SenderHardwareAddr) == len(broadcast) && p.SenderHardwareAddr[0]&group == 0
	return p.TargetIP, question
}

// answer tells the sender of a question that the address it asked for is at mac.
func answer(question *arp.Packet, mac net.HardwareAddr) *arp.Packet {
	return newPacket(arp.OperationReply, mac, question.TargetIP, question.SenderHardwareAddr, question.SenderIP)
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

// newPacket is an ARP packet for Ethernet and IPv4. Unlike arp.NewPacket it cannot fail; its callers hold addresses that fit.
func newPacket(op arp.Operation, fromMAC net.HardwareAddr, from netip.Addr, toMAC net.HardwareAddr, to netip.Addr) *arp.Packet {
	const ethernet, ipv4 = 1, 0x0800
	return &arp.Packet{
		HardwareType: ethernet, ProtocolType: ipv4, HardwareAddrLength: 6, IPLength: 4, Operation: op,
		SenderHardwareAddr: fromMAC, SenderIP: from, TargetHardwareAddr: toMAC, TargetIP: to,
	}
}
