package layer2

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	noMAC     = net.HardwareAddr{0, 0, 0, 0, 0, 0}
)

// parseARP returns what an ARP packet from source says; false if it says nothing of use. A probe
// (RFC 5227), whose sender has no address yet, asks and claims nothing. An announcement claims and
// asks nothing, because its sender asks for its own address.
func parseARP(p *arp.Packet, source net.HardwareAddr) (message, bool) {
	request := p.Operation == arp.OperationRequest
	if !request && p.Operation != arp.OperationReply || !p.SenderIP.Is4() || !p.TargetIP.Is4() || !isUnicast(p.SenderHardwareAddr) {
		return message{}, false
	}
	m := message{source: source, from: p.SenderIP, mac: p.SenderHardwareAddr}
	if !p.SenderIP.IsUnspecified() {
		m.claims = p.SenderIP
	}
	if request && p.SenderIP != p.TargetIP {
		m.asks = p.TargetIP
	}
	return m, m.claims.IsValid() || m.asks.IsValid()
}

// isUnicast says whether mac is the Ethernet address of one station, and not of a group or of all.
func isUnicast(mac net.HardwareAddr) bool {
	const group = 1
	return len(mac) == len(broadcast) && mac[0]&group == 0
}

// reply tells the sender of a request that the address is at mac.
func reply(m message, mac net.HardwareAddr) *arp.Packet {
	return newPacket(arp.OperationReply, mac, m.asks, m.mac, m.from)
}

// gratuitous tells all hosts that the address is at mac. Receivers differ in which form they take:
// Linux takes a reply at once only if its target hardware address is that of the sender.
func gratuitous(form arp.Operation, mac net.HardwareAddr, addr netip.Addr) *arp.Packet {
	target := noMAC
	if form == arp.OperationReply {
		target = mac
	}
	return newPacket(form, mac, addr, target, addr)
}

// arpForms are the forms of an announcement in their order.
var arpForms = [...]arp.Operation{arp.OperationRequest, arp.OperationReply}

// newPacket returns an ARP packet for Ethernet and IPv4. Unlike arp.NewPacket it cannot fail: its
// callers have addresses that fit.
func newPacket(op arp.Operation, fromMAC net.HardwareAddr, from netip.Addr, toMAC net.HardwareAddr, to netip.Addr) *arp.Packet {
	const ethernet, ipv4 = 1, 0x0800
	return &arp.Packet{
		HardwareType: ethernet, ProtocolType: ipv4, HardwareAddrLength: 6, IPLength: 4, Operation: op,
		SenderHardwareAddr: fromMAC, SenderIP: from, TargetHardwareAddr: toMAC, TargetIP: to,
	}
}
