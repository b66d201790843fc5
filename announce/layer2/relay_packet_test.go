package layer2

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

var etherTypes = map[string]int{"IPv4": unix.ETH_P_IP, "IPv6": unix.ETH_P_IPV6}

const ethernetSize = 14

// The report that a path has a smaller MTU has to reach the node on which the connection began.
func TestErrorsAboutRelayedConnectionsAreSentOn(t *testing.T) {
	for family, etherType := range etherTypes {
		t.Run(family, func(t *testing.T) {
			h := newHandover(t, family)
			h.at(h.formerMAC)
			c := h.connect("former")
			h.relay()
			port := uint16(c.conn.LocalAddr().(*net.TCPAddr).Port)
			from := h.client.station("br0")
			to := h.former.stationFor("lan", etherType)
			sent := tooBig(families[family].has, h.address, port)
			from.send(frameFor(etherType, from.mac, h.ownMAC, untagged, sent))
			message := sent[len(sent)-errorSize:]
			to.receiveFrame("the error", func(b []byte) bool {
				return bytes.Equal(b[:6], h.formerMAC) && bytes.Equal(b[6:12], h.ownMAC) && bytes.HasSuffix(b, message)
			})
		})
	}
}

// Each of two nodes believes that the connection began on the other.
func TestPacketsOfUnknownConnectionsAreNotRelayedForEver(t *testing.T) {
	for family, etherType := range etherTypes {
		t.Run(family, func(t *testing.T) {
			h := newHandover(t, family)
			h.at(h.ownMAC) // or the client would ask for the address
			h.relay()
			h.former.In(func() error {
				return changeRelays(false, nil, map[netip.Addr]hop{h.address: {families[family].own, h.former.index("lan")}})
			})
			from := h.client.station("br0")
			to := h.former.stationFor("lan", etherType)
			for _, port := range []uint16{1001, 1002} {
				from.send(frameFor(etherType, from.mac, h.ownMAC, untagged, unknown(families[family].has, h.address, port)))
				var left []byte
				for len(left) == 0 || left[len(left)-1] > 1 {
					to.receiveFrame("the packet", func(b []byte) bool {
						hops, ports := b[ethernetSize+8], b[ethernetSize+20:]
						if family == "IPv6" {
							hops, ports = b[ethernetSize+7], b[ethernetSize+40:]
						}
						if !bytes.Equal(b[:6], h.formerMAC) || binary.BigEndian.Uint16(ports) != port {
							return false
						}
						left = append(left, hops)
						return true
					})
				}
				if want := []byte{15, 13, 11, 9, 7, 5, 3, 1}; !bytes.Equal(left, want) {
					t.Errorf("came with %v hops left, want %v", left, want)
				}
			}
		})
	}
}

// unknown is a packet of a connection that no node knows, from a port of a client.
func unknown(client, to netip.Addr, port uint16) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, port)
	binary.BigEndian.PutUint16(tcp[2:], servedPort)
	const headerWords, ack = 5, 0x10
	tcp[12], tcp[13] = headerWords<<4, ack
	pseudo := slices.Concat(client.AsSlice(), to.AsSlice(), []byte{0, unix.IPPROTO_TCP, 0, byte(len(tcp))}, tcp)
	binary.BigEndian.PutUint16(tcp[16:], checksum4(pseudo))
	if to.Is4() {
		return newIPv4(unix.IPPROTO_TCP, client, to, tcp)
	}
	packet := newIPv6(client, to, tcp)
	packet[6] = unix.IPPROTO_TCP
	return packet
}

// errorSize is how much of a packet that reports an error follows its IP header in both families,
// at least: the header of ICMP, and of the packet in question the last part of its header and the
// ports.
const errorSize = 8 + 20 + 8

// tooBig is the packet that tells from that a packet, which was sent to a port of client, was too
// big: RFC 792, RFC 4443.
func tooBig(client, from netip.Addr, port uint16) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, servedPort)
	binary.BigEndian.PutUint16(tcp[2:], port)
	if from.Is4() {
		message := slices.Concat([]byte{3, 4, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff}, newIPv4(unix.IPPROTO_TCP, from, client, tcp))
		binary.BigEndian.PutUint16(message[2:], checksum4(message))
		return newIPv4(unix.IPPROTO_ICMP, client, from, message)
	}
	inner := newIPv6(from, client, tcp)
	inner[6] = unix.IPPROTO_TCP
	return resummed(newIPv6(client, from, slices.Concat([]byte{2, 0, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff}, inner)))
}

func newIPv4(protocol byte, from, to netip.Addr, payload []byte) []byte {
	header := slices.Concat([]byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0}, from.AsSlice(), to.AsSlice())
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(payload)))
	binary.BigEndian.PutUint16(header[10:], checksum4(header))
	return append(header, payload...)
}

// checksum4 is the Internet checksum (RFC 1071) of as many bytes as are even.
func checksum4(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return ^uint16(sum>>16 + sum&0xffff)
}
