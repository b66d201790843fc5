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
	// ndpHopLimit proves that no router has forwarded a packet (RFC 4861, section 7.1).
	ndpHopLimit = 255
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = multicastMAC(allNodes)
)

// multicastMAC is the Ethernet address of an IPv6 multicast group (RFC 2464, section 7).
func multicastMAC(group netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x33, 0x33}, group.AsSlice()[12:]...)
}

// parseNDP returns what an IPv6 packet says; false unless it is a neighbour solicitation or
// advertisement that is valid by RFC 4861, sections 7.1.1 and 7.1.2. source is the hardware address
// that its frame came from. It counts if the packet itself has none, as in solicitations that check
// whether a neighbour is still there, and in answers to them.
func parseNDP(packet []byte, source net.HardwareAddr) (message, bool) {
	if len(packet) < ipv6HeaderSize || packet[0]>>4 != 6 || packet[6] != icmpv6 || packet[7] != ndpHopLimit {
		return message{}, false
	}
	src, dst := netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
	body := packet[ipv6HeaderSize:]
	size := int(binary.BigEndian.Uint16(packet[4:]))
	if size > len(body) {
		return message{}, false
	}
	body = body[:size]
	const code = 1
	if len(body) <= code || body[code] != 0 || src.IsMulticast() || checksum(src, dst, body) != 0 {
		return message{}, false
	}
	parsed, err := ndp.ParseMessage(body)
	if err != nil {
		return message{}, false
	}
	m := message{source: source, from: src, mac: source}
	switch parsed := parsed.(type) {
	case *ndp.NeighborSolicitation:
		return m.solicited(parsed, dst)
	case *ndp.NeighborAdvertisement:
		return m.advertised(parsed, dst)
	}
	return message{}, false
}

// solicited adds what a solicitation says. It also claims the sender's own address.
func (m message) solicited(s *ndp.NeighborSolicitation, dst netip.Addr) (message, bool) {
	mac, hasMAC := linkLayerAddress(s.Options, ndp.Source)
	if hasMAC {
		m.mac = mac
	}
	if s.TargetAddress.IsMulticast() || !isUnicast(m.mac) {
		return message{}, false
	}
	if m.from != s.TargetAddress {
		m.asks = s.TargetAddress
	}
	if m.from.IsUnspecified() {
		group, err := ndp.SolicitedNodeMulticast(s.TargetAddress)
		return m, err == nil && dst == group && !hasMAC
	}
	m.claims = m.from
	return m, true
}

// advertised adds what an advertisement says.
func (m message) advertised(a *ndp.NeighborAdvertisement, dst netip.Addr) (message, bool) {
	if mac, ok := linkLayerAddress(a.Options, ndp.Target); ok {
		m.mac = mac
	}
	m.claims = a.TargetAddress
	return m, !a.TargetAddress.IsMulticast() && isUnicast(m.mac) && !(dst.IsMulticast() && a.Solicited)
}

// linkLayerAddress returns the link-layer address of that kind among the options.
func linkLayerAddress(options []ndp.Option, kind ndp.Direction) (net.HardwareAddr, bool) {
	for _, option := range options {
		if o, ok := option.(*ndp.LinkLayerAddress); ok && o.Direction == kind {
			return o.Addr, true
		}
	}
	return nil, false
}

// newSolicitation returns an IPv6 packet with a neighbour solicitation (RFC 4861, section 4.3):
// where is addr? Its destination is addr's solicited-node multicast group. mac is the hardware
// address of src. src is unspecified for a probe, which finds out whether addr is free (RFC 4862,
// section 5.4.2).
func newSolicitation(addr netip.Addr, mac net.HardwareAddr, src netip.Addr) (packet []byte, group netip.Addr, err error) {
	group, err = ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, group, err
	}
	s := &ndp.NeighborSolicitation{TargetAddress: addr}
	if !src.IsUnspecified() {
		s.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}}
	}
	body, err := ndp.MarshalMessageChecksum(s, src, group)
	if err != nil {
		return nil, group, err
	}
	return newIPv6(src, group, body), group, nil
}

// advertisement returns an IPv6 packet with a neighbour advertisement (RFC 4861, section 4.4): addr
// is at mac. Its override flag is set, because no other host has the address, and its router flag
// is not.
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

// newIPv6 returns an IPv6 packet with an ICMPv6 message that stays on its link.
func newIPv6(src, dst netip.Addr, message []byte) []byte {
	packet := make([]byte, ipv6HeaderSize, ipv6HeaderSize+len(message))
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
	packet[6], packet[7] = icmpv6, ndpHopLimit
	copy(packet[8:], src.AsSlice())
	copy(packet[24:], dst.AsSlice())
	return append(packet, message...)
}

// checksum is the Internet checksum (RFC 1071) of an ICMPv6 message and its pseudo-header (RFC
// 8200, section 8.1). It is 0 if the message contains the right checksum.
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
