package layer2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// station is a raw socket at an interface of a host.
type station struct {
	t    testing.TB
	mac  net.HardwareAddr
	conn *packet.Conn
}

func (h *host) station(name string) *station { return h.stationFor(name, unix.ETH_P_ARP) }

func (h *host) stationFor(name string, etherType int) *station {
	h.t.Helper()
	l, err := h.NL.LinkByName(name)
	must(h.t, err)
	s := &station{t: h.t, mac: l.Attrs().HardwareAddr}
	h.In(func() error {
		s.conn, err = packet.Listen(&net.Interface{Index: l.Attrs().Index}, packet.Raw, etherType, nil)
		return err
	})
	raw, err := s.conn.SyscallConn()
	must(h.t, err)
	must(h.t, raw.Control(func(fd uintptr) { // not to lose what comes while the machine is busy
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	}))
	must(h.t, err)
	h.t.Cleanup(func() { s.conn.Close() })
	return s
}

// frame is an ARP packet with its Ethernet header, and with a VLAN tag if tag is one.
func frame(from, to net.HardwareAddr, tag int, p *arp.Packet) []byte {
	payload, _ := p.MarshalBinary()
	return frameFor(unix.ETH_P_ARP, from, to, tag, payload)
}

func frameFor(etherType int, from, to net.HardwareAddr, tag int, payload []byte) []byte {
	b := slices.Concat(to, from)
	if tag >= 0 {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_8021Q)
		b = binary.BigEndian.AppendUint16(b, uint16(tag))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(etherType))
	return append(b, payload...)
}

// untagged is no VLAN tag.
const untagged = -1

func (s *station) send(b []byte) {
	s.t.Helper()
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]})
	must(s.t, err)
}

// receive returns the next ARP packet that arrives and that is wanted, and where its frame was
// addressed to.
func (s *station) receive(what string, wanted func(*arp.Packet) bool) (*arp.Packet, net.HardwareAddr) {
	s.t.Helper()
	must(s.t, s.conn.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 128)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		p := new(arp.Packet)
		must(s.t, p.UnmarshalBinary(b[14:n]))
		if wanted(p) {
			return p, net.HardwareAddr(slices.Clone(b[:6]))
		}
	}
}

func isAnswer(p *arp.Packet) bool {
	return p.Operation == arp.OperationReply && p.SenderIP != p.TargetIP
}

// announces is what announces addr in that form.
func announces(form arp.Operation, addr netip.Addr) func(*arp.Packet) bool {
	return func(p *arp.Packet) bool {
		return p.Operation == form && p.SenderIP == addr && p.TargetIP == addr
	}
}

// with changes a byte.
func with(b []byte, at int, value byte) []byte {
	b[at] = value
	return b
}

// advert is a neighbour advertisement that a station has received.
type advert struct {
	*ndp.NeighborAdvertisement
	to       net.HardwareAddr // of its frame
	src, dst netip.Addr
	hopLimit byte
	mac      net.HardwareAddr // where it says that its target is
}

func (a advert) String() string {
	return fmt.Sprintf("%v is at %v: router %v, solicited %v, override %v, from %v, to %v at %v, hop limit %d",
		a.TargetAddress, a.mac, a.Router, a.Solicited, a.Override, a.src, a.dst, a.to, a.hopLimit)
}

// receive6 returns the next neighbour advertisement that arrives and that is wanted.
func (s *station) receive6(what string, wanted func(advert) bool) (a advert) {
	s.t.Helper()
	s.receiveFrame(what, func(frame []byte) bool {
		const advertisement = 136
		if len(frame) <= 14+ipv6HeaderSize || frame[14+6] != icmpv6 || frame[14+ipv6HeaderSize] != advertisement {
			return false
		}
		p := frame[14:]
		m, err := ndp.ParseMessage(p[ipv6HeaderSize:])
		must(s.t, err)
		a = advert{
			NeighborAdvertisement: m.(*ndp.NeighborAdvertisement),
			to:                    frame[:6],
			src:                   netip.AddrFrom16([16]byte(p[8:])), dst: netip.AddrFrom16([16]byte(p[24:])),
			hopLimit: p[7],
		}
		for _, o := range a.Options {
			a.mac = o.(*ndp.LinkLayerAddress).Addr
		}
		if checksum(a.src, a.dst, p[ipv6HeaderSize:]) != 0 {
			s.t.Errorf("wrong checksum: %x", p)
		}
		return wanted(a)
	})
	return a
}

func (s *station) receiveFrame(what string, wanted func([]byte) bool) []byte {
	s.t.Helper()
	must(s.t, s.conn.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 2048)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		if wanted(b[:n]) {
			return b[:n]
		}
	}
}

// announcing is what announces addr, and isAnswer6 what answers a question.
func announcing(addr netip.Addr) func(advert) bool {
	return func(a advert) bool { return a.TargetAddress == addr && a.dst == allNodes }
}

func isAnswer6(a advert) bool { return a.dst != allNodes }

// repeatedly sends a frame again and again until stopped.
func (s *station) repeatedly(b []byte) (stop func()) {
	return repeatedly(func() { _, _ = s.conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]}) })
}

// until sends a question again and again until that very answer comes.
func (s *station) until(answer, question []byte) {
	s.t.Helper()
	stop := s.repeatedly(question)
	defer stop()
	s.receiveFrame("the answer", func(b []byte) bool { return bytes.Equal(b, answer) })
}

// says has a station say that addr is at mac, to all.
func (s *station) says(addr netip.Addr, mac net.HardwareAddr) {
	s.t.Helper()
	if addr.Is4() {
		s.send(frame(s.mac, broadcast, untagged, newPacket(arp.OperationReply, mac, addr, broadcast, netip.MustParseAddr("192.0.2.7"))))
		return
	}
	s.send(frameFor(unix.ETH_P_IPV6, s.mac, allNodesMAC, untagged, ndpPacket(client6, allNodes, advertised6(addr, mac))))
}

// probes has a station with that hardware address probe for addr.
func (s *station) probes(addr netip.Addr, mac net.HardwareAddr) {
	s.t.Helper()
	if addr.Is4() {
		s.send(frame(mac, broadcast, untagged, newPacket(arp.OperationRequest, mac, netip.IPv4Unspecified(), noMAC, addr)))
		return
	}
	s.send(frameFor(unix.ETH_P_IPV6, mac, multicastMAC(groupOf(addr)), untagged, solicitation(unspecified, groupOf(addr), addr, ndp.NewNonce())))
}

// asked waits until somebody asks for addr.
func (s *station) asked(addr netip.Addr) {
	s.t.Helper()
	if addr.Is4() {
		s.receive("a question", func(p *arp.Packet) bool { return p.TargetIP == addr })
		return
	}
	s.receiveFrame("a solicitation", func(b []byte) bool {
		m, ok := parseNDP(b[14:], b[6:12])
		return ok && m.asks == addr
	})
}

// hears waits until somebody says that addr is at mac.
func (s *station) hears(addr netip.Addr, mac net.HardwareAddr) {
	s.t.Helper()
	if addr.Is4() {
		s.receive("a claim", func(p *arp.Packet) bool { return p.SenderIP == addr && bytes.Equal(p.SenderHardwareAddr, mac) })
		return
	}
	s.receive6("a claim", func(a advert) bool { return a.TargetAddress == addr && bytes.Equal(a.mac, mac) })
}

// stationOf is a station that speaks the protocol of the family of addr.
func (h *host) stationOf(name string, addr netip.Addr) *station {
	if addr.Is4() {
		return h.stationFor(name, unix.ETH_P_ARP)
	}
	return h.stationFor(name, unix.ETH_P_IPV6)
}
