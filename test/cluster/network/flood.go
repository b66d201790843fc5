package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Send sends frames from a device of the host, one after the other, as fast as the LAN takes them. They begin with the header of
// Ethernet. It returns an error if the device fails or the context ends before all are sent.
func (h *Host) Send(ctx context.Context, device string, frames [][]byte) error {
	var socket *os.File
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		socket, err = sendingSocket(ifi.Index)
		return err
	})
	if err != nil {
		return fmt.Errorf("send from %s of %s: %w", device, h.Name, err)
	}
	defer socket.Close()
	for _, frame := range frames {
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, err := socket.Write(frame)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) { // the LAN is full, and has dropped it
				return fmt.Errorf("send from %s of %s: %w", device, h.Name, err)
			}
		}
	}
	return nil
}

// Endpoint is one end of what goes over a LAN, by IPv4.
type Endpoint struct {
	MAC net.HardwareAddr
	netip.AddrPort
}

// Flags of TCP (RFC 9293, section 3.1), for [TCP].
const (
	SYN byte = 1 << 1
	RST byte = 1 << 2
	PSH byte = 1 << 3
	ACK byte = 1 << 4
)

// The sizes of headers without options, in bytes.
const (
	ethernetHeader = 14
	ipv4Header     = 20
	ipv6Header     = 40
	udpHeader      = 8
	tcpHeader      = 20
)

// UDP returns a frame with a datagram, without a checksum. No router has forwarded it, as its TTL says.
func UDP(from, to Endpoint, payload []byte) []byte {
	header := binary.BigEndian.AppendUint16(nil, from.Port())
	header = binary.BigEndian.AppendUint16(header, to.Port())
	header = binary.BigEndian.AppendUint16(header, uint16(udpHeader+len(payload)))
	header = append(header, 0, 0)
	return ipv4(from, to, unix.IPPROTO_UDP, append(header, payload...))
}

// TCP returns a frame with a segment, which acknowledges nothing.
func TCP(from, to Endpoint, flags byte, sequence uint32, payload []byte) []byte {
	const words, window, sum = tcpHeader / 4, 0xffff, 16
	segment := binary.BigEndian.AppendUint16(nil, from.Port())
	segment = binary.BigEndian.AppendUint16(segment, to.Port())
	segment = binary.BigEndian.AppendUint32(segment, sequence)
	segment = append(segment, 0, 0, 0, 0, words<<4, flags)
	segment = binary.BigEndian.AppendUint16(segment, window)
	segment = append(append(segment, 0, 0, 0, 0), payload...)
	addresses := slices.Concat(from.Addr().AsSlice(), to.Addr().AsSlice())
	binary.BigEndian.PutUint16(segment[sum:], checksum(addresses, uint32(len(segment)), unix.IPPROTO_TCP, segment))
	return ipv4(from, to, unix.IPPROTO_TCP, segment)
}

func ipv4(from, to Endpoint, protocol byte, payload []byte) []byte {
	const version, words, ttl, sum = 4, ipv4Header / 4, 255, 10
	packet := []byte{version<<4 | words, 0}
	packet = binary.BigEndian.AppendUint16(packet, uint16(ipv4Header+len(payload)))
	packet = append(packet, 0, 0, 0, 0, ttl, protocol, 0, 0)
	packet = slices.Concat(packet, from.Addr().AsSlice(), to.Addr().AsSlice())
	binary.BigEndian.PutUint16(packet[sum:], checksum(nil, 0, 0, packet))
	return ethernet(to.MAC, from.MAC, unix.ETH_P_IP, append(packet, payload...))
}

// checksum is that of the internet (RFC 1071), of data behind the pseudo-header that has addresses, a length and a protocol. It is 0 for
// data that has its checksum.
func checksum(addresses []byte, length uint32, protocol byte, data []byte) uint16 {
	sum := length>>16 + length&0xffff + uint32(protocol)
	for _, part := range [][]byte{addresses, data} {
		for ; len(part) > 1; part = part[2:] {
			sum += uint32(binary.BigEndian.Uint16(part))
		}
		if len(part) > 0 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Damage returns what has become of a frame: it is cut off, or some of its bytes are others, or all that follows the header of Ethernet
// is. Half of those with ICMPv6 have the right checksum all the same, so that receivers read on.
func Damage(random *rand.Rand, frame []byte) []byte {
	damaged := slices.Clone(frame)
	body := damaged[ethernetHeader:]
	switch random.IntN(3) {
	case 0:
		damaged = damaged[:ethernetHeader+random.IntN(len(body))]
	case 1:
		for range 1 + random.IntN(4) {
			body[random.IntN(len(body))] = byte(random.Uint32())
		}
	case 2:
		fill(random, body[random.IntN(len(body)):])
	}
	if packet := damaged[ethernetHeader:]; len(packet) > ipv6Header+4 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6 && random.IntN(2) == 0 {
		message := packet[ipv6Header:]
		message[2], message[3] = 0, 0
		binary.BigEndian.PutUint16(message[2:], checksum(packet[8:ipv6Header], uint32(len(message)), unix.IPPROTO_ICMPV6, message))
	}
	return damaged
}

// Garbage returns at most that many bytes at random, at least one.
func Garbage(random *rand.Rand, most int) []byte {
	b := make([]byte, 1+random.IntN(most))
	fill(random, b)
	return b
}

func fill(random *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}
