package layer2

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/ndp"
)

var (
	client6     = netip.MustParseAddr("2001:db8::1")
	unspecified = netip.IPv6Unspecified()
)

// groupOf is where solicitations for an address are sent.
func groupOf(addr netip.Addr) netip.Addr {
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		panic(err)
	}
	return group
}

// sourceMAC is the option with the hardware address of the sender of a solicitation.
func sourceMAC(mac net.HardwareAddr) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}
}

// solicitation is an IPv6 packet with a neighbour solicitation.
func solicitation(src, dst, target netip.Addr, options ...ndp.Option) []byte {
	return ndpPacket(src, dst, &ndp.NeighborSolicitation{TargetAddress: target, Options: options})
}

func ndpPacket(src, dst netip.Addr, m ndp.Message) []byte {
	message, err := ndp.MarshalMessageChecksum(m, src, dst)
	if err != nil {
		panic(err)
	}
	return newIPv6(src, dst, message)
}

// extended adds bytes to the message of a packet, with lengths and checksum right.
func extended(packet []byte, more ...byte) []byte {
	message := slices.Concat(packet[ipv6HeaderSize:], more)
	return resummed(newIPv6(netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:])), message))
}

// resummed makes the checksum of a packet right.
func resummed(packet []byte) []byte {
	message := packet[ipv6HeaderSize:]
	message[2], message[3] = 0, 0
	sum := checksum(netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:])), message)
	message[2], message[3] = byte(sum>>8), byte(sum)
	return packet
}

// shortened cuts the message of a packet, with lengths and checksum right.
func shortened(packet []byte, size int) []byte {
	return extended(packet[:ipv6HeaderSize+size])
}

// theMulticast is the solicitation that most tests change.
func theMulticast() []byte { return solicitation(client6, groupOf(vip61), vip61, sourceMAC(asker)) }

var otherMAC = net.HardwareAddr{2, 8, 8, 8, 8, 8}

// solicitations are packets, and whether they are valid solicitations for vip61. All come in frames
// from asker.
var solicitations = map[string]struct {
	packet []byte
	want   bool
}{
	"multicast":                     {theMulticast(), true},
	"unicast check of an entry":     {solicitation(client6, vip61, vip61), true},
	"unicast with its address":      {solicitation(client6, vip61, vip61, sourceMAC(asker)), true},
	"from a link-local address":     {solicitation(netip.MustParseAddr("fe80::1"), groupOf(vip61), vip61, sourceMAC(asker)), true},
	"detection of a duplicate":      {solicitation(unspecified, groupOf(vip61), vip61), true},
	"detection with a nonce":        {solicitation(unspecified, groupOf(vip61), vip61, ndp.NewNonce()), true},
	"an option nobody knows":        {extended(theMulticast(), 200, 1, 0, 0, 0, 0, 0, 0), true},
	"bytes after the packet":        {append(theMulticast(), 1, 2, 3), true},
	"another hop limit":             {with(theMulticast(), 7, 254), false},
	"another code":                  {resummed(with(theMulticast(), ipv6HeaderSize+1, 1)), false},
	"a wrong checksum":              {with(theMulticast(), ipv6HeaderSize+2, 0x42), false},
	"without a target":              {shortened(theMulticast(), 23), false},
	"half an option":                {shortened(theMulticast(), 28), false},
	"one byte of an option":         {shortened(theMulticast(), 25), false},
	"an option of no length":        {extended(theMulticast(), 200, 0, 0, 0, 0, 0, 0, 0), false},
	"an option past the end":        {extended(theMulticast(), 200, 2, 0, 0, 0, 0, 0, 0), false},
	"less than its length":          {theMulticast()[:ipv6HeaderSize+24], false},
	"no message":                    {newIPv6(client6, groupOf(vip61), nil), false},
	"less than a header":            {theMulticast()[:ipv6HeaderSize-1], false},
	"nothing":                       {nil, false},
	"another version":               {with(theMulticast(), 0, 0x40), false},
	"another protocol":              {with(theMulticast(), 6, 17), false},
	"multicast target":              {solicitation(client6, groupOf(vip61), groupOf(vip61), sourceMAC(asker)), false},
	"multicast source":              {solicitation(groupOf(vip61), groupOf(vip61), vip61, sourceMAC(asker)), false},
	"from the address itself":       {solicitation(vip61, groupOf(vip61), vip61, sourceMAC(asker)), false},
	"a group that asks":             {solicitation(client6, groupOf(vip61), vip61, sourceMAC(multicastMAC(allNodes))), false},
	"detection sent to the address": {solicitation(unspecified, vip61, vip61), false},
	"detection sent to all nodes":   {solicitation(unspecified, allNodes, vip61), false},
	"detection with an address":     {solicitation(unspecified, groupOf(vip61), vip61, sourceMAC(asker)), false},
	"an advertisement":              {ndpPacket(client6, groupOf(vip61), &ndp.NeighborAdvertisement{TargetAddress: vip61}), false},
}

func TestSolicitationsAreParsedIfTheyAreValid(t *testing.T) {
	for name, c := range solicitations {
		t.Run(name, func(t *testing.T) {
			m, ok := parseNDP(c.packet, asker)
			if asked := ok && m.asks.IsValid(); asked != c.want {
				t.Fatalf("asked: %v, want %v", asked, c.want)
			}
			if c.want && (m.asks != vip61 || !slices.Equal(m.mac, asker)) {
				t.Errorf("heard %+v", m)
			}
		})
	}
}

// claims6 are packets, and for each the address that it claims and the hardware address that it
// claims it for. All come in frames from asker.
var claims6 = map[string]struct {
	packet []byte
	addr   netip.Addr
	mac    net.HardwareAddr
}{
	"an advertisement to all":         {ndpPacket(client6, allNodes, advertised6(vip61, otherMAC)), vip61, otherMAC},
	"an answer":                       {ndpPacket(vip61, client6, solicited6(vip61, otherMAC)), vip61, otherMAC},
	"an answer to a unicast check":    {ndpPacket(vip61, client6, solicited6(vip61, nil)), vip61, asker},
	"an answer to all":                {ndpPacket(vip61, allNodes, solicited6(vip61, otherMAC)), netip.Addr{}, nil},
	"with another hop limit":          {with(ndpPacket(client6, allNodes, advertised6(vip61, otherMAC)), 7, 254), netip.Addr{}, nil},
	"for a multicast address":         {ndpPacket(client6, allNodes, advertised6(allNodes, otherMAC)), netip.Addr{}, nil},
	"at a group":                      {ndpPacket(client6, allNodes, advertised6(vip61, allNodesMAC)), netip.Addr{}, nil},
	"too short":                       {shortened(ndpPacket(client6, allNodes, advertised6(vip61, nil)), 23), netip.Addr{}, nil},
	"a question":                      {theMulticast(), client6, asker},
	"a question about its own":        {solicitation(client6, groupOf(client6), client6, sourceMAC(asker)), client6, asker},
	"a question of one without a MAC": {solicitation(client6, vip61, vip61), client6, asker},
	"a probe":                         {solicitation(unspecified, groupOf(vip61), vip61), netip.Addr{}, nil},
}

// advertised6 is an unsolicited advertisement, and solicited6 a solicited one. mac may be nil.
func advertised6(addr netip.Addr, mac net.HardwareAddr) *ndp.NeighborAdvertisement {
	a := &ndp.NeighborAdvertisement{Override: true, TargetAddress: addr}
	if mac != nil {
		a.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}}
	}
	return a
}

func solicited6(addr netip.Addr, mac net.HardwareAddr) *ndp.NeighborAdvertisement {
	a := advertised6(addr, mac)
	a.Solicited = true
	return a
}

func TestClaimsOfIPv6AddressesAreParsedIfTheyAreValid(t *testing.T) {
	for name, c := range claims6 {
		t.Run(name, func(t *testing.T) {
			m, ok := parseNDP(c.packet, asker)
			if ok = ok && m.claims.IsValid(); ok != c.addr.IsValid() {
				t.Fatalf("claimed: %v", ok)
			}
			if ok && (m.claims != c.addr || !slices.Equal(m.mac, c.mac) || !slices.Equal(m.source, asker)) {
				t.Errorf("heard %+v", m)
			}
		})
	}
}

func TestSolicitationByteForByte(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		src  netip.Addr
		want []byte
	}{
		{client6, solicitation(client6, groupOf(vip61), vip61, sourceMAC(mac))},
		{unspecified, solicitation(unspecified, groupOf(vip61), vip61)},
	} {
		got, group, err := newSolicitation(vip61, mac, c.src)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) || group != groupOf(vip61) {
			t.Errorf("from %v:\n got %x\nwant %x", c.src, got, c.want)
		}
		if m, ok := parseNDP(got, mac); !ok || m.asks != vip61 || m.probes() != c.src.IsUnspecified() {
			t.Errorf("heard %+v", m)
		}
	}
}

func TestSourceOptionSaysMoreThanTheFrame(t *testing.T) {
	m, ok := parseNDP(theMulticast(), otherMAC)
	if !ok || !slices.Equal(m.mac, asker) || !slices.Equal(m.source, otherMAC) {
		t.Errorf("heard %+v, %v", m, ok)
	}
}

func TestAdvertisementByteForByte(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	source := netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		solicited bool
		dst       netip.Addr
		want      string
	}{
		{true, client6, "6000000000203afffe80000000000000000000000000000120010db8000000000000000000000001" +
			"8800b8ac6000000020010db80000000000000000000001010201020000000001"},
		{false, allNodes, "6000000000203afffe800000000000000000000000000001ff020000000000000000000000000001" +
			"880027632000000020010db80000000000000000000001010201020000000001"},
	} {
		got, err := advertisement(vip61, mac, source, c.dst, c.solicited)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != c.want {
			t.Errorf("to %v:\n got %x\nwant %s", c.dst, got, c.want)
		}
	}
}

// Whatever arrives, nothing breaks, and what is parsed is about unicast addresses.
func FuzzParseNDP(f *testing.F) {
	for _, c := range solicitations {
		f.Add(c.packet)
	}
	for _, c := range claims6 {
		f.Add(c.packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, ok := parseNDP(packet, asker)
		if !ok {
			return
		}
		if !m.asks.IsValid() && !m.claims.IsValid() || m.asks.IsMulticast() || m.claims.IsMulticast() || m.asks == m.from || !isUnicast(m.mac) {
			t.Errorf("heard %+v", m)
		}
	})
}
