package layer2

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// The IPv6 header (RFC 8200, section 3).
const (
	ipv6HeaderSize = 40
	icmpv6         = 58
	// ndpHopLimit proves that no router has forwarded a packet.
	ndpHopLimit = 255
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// solicited returns the question that an IPv6 packet asks, if it is a neighbour solicitation that is valid by RFC 4861,
// section 7.1.1, and may be answered. from is where its frame came from: those that check whether a neighbour is still there
// need not repeat their hardware address in the packet.
func solicited(packet []byte, from net.HardwareAddr) (question, bool) {
	if len(packet) < ipv6HeaderSize || packet[0]>>4 != 6 || packet[6] != icmpv6 || packet[7] != ndpHopLimit {
		return question{}, false
	}
	src, dst := netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
	message := packet[ipv6HeaderSize:]
	size := int(binary.BigEndian.Uint16(packet[4:]))
	if size > len(message) {
		return question{}, false
	}
	message = message[:size]
	const code = 1
	if len(message) <= code || message[code] != 0 || checksum(src, dst, message) != 0 {
		return question{}, false
	}
	parsed, err := ndp.ParseMessage(message)
	if err != nil {
		return question{}, false
	}
	solicitation, ok := parsed.(*ndp.NeighborSolicitation)
	if !ok || solicitation.TargetAddress.IsMulticast() || src.IsMulticast() || src == solicitation.TargetAddress {
		return question{}, false
	}
	q := question{addr: solicitation.TargetAddress, from: src, mac: from}
	for _, option := range solicitation.Options {
		if source, ok := option.(*ndp.LinkLayerAddress); ok && source.Direction == ndp.Source {
			if src.IsUnspecified() {
				return question{}, false
			}
			q.mac = source.Addr
		}
	}
	if src.IsUnspecified() {
		group, err := ndp.SolicitedNodeMulticast(q.addr)
		return q, err == nil && dst == group
	}
	return q, isStation(q.mac)
}

// advertisement is an IPv6 packet with a neighbour advertisement (RFC 4861, section 4.4): addr is at mac. It always
// overrides what the receiver knows, because nobody else has the address, and never calls it a router.
func advertisement(addr netip.Addr, mac net.HardwareAddr, src, dst netip.Addr, solicited bool) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Solicited:     solicited,
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, src, dst)
	if err != nil {
		return nil, err
	}
	return newIPv6(src, dst, message), nil
}

// newIPv6 is an IPv6 packet with an ICMPv6 message that stays on its link.
func newIPv6(src, dst netip.Addr, message []byte) []byte {
	packet := make([]byte, ipv6HeaderSize, ipv6HeaderSize+len(message))
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
	packet[6], packet[7] = icmpv6, ndpHopLimit
	copy(packet[8:], src.AsSlice())
	copy(packet[24:], dst.AsSlice())
	return append(packet, message...)
}

// checksum is the Internet checksum (RFC 1071) of an ICMPv6 message, with the addresses that it covers too (RFC 8200, section
// 8.1). It is 0 if the message contains the right one.
func checksum(src, dst netip.Addr, message []byte) uint16 {
	sum := uint32(len(message)) + icmpv6
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) > 0 {
			sum += uint32(b[0]) << 8
		}
	}
	add(src.AsSlice())
	add(dst.AsSlice())
	add(message)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
