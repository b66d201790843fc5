package network

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFramesThatAreSentAreUnderstoodByTheOtherHost(t *testing.T) {
	l := newLAN(t)
	from, to := netip.MustParseAddrPort("10.0.1.99:50000"), netip.AddrPortFrom(l.b.Address("eth0", false), 7000)
	src, dst := Endpoint{l.a.MAC("eth0"), from}, Endpoint{l.b.MAC("eth0"), to}

	t.Run("datagrams arrive, as many as were sent", func(t *testing.T) {
		var conn *net.UDPConn
		err := l.b.Do(func() (err error) {
			conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(to))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const count = 100
		var frames [][]byte
		for n := range count {
			frames = append(frames, UDP(src, dst, []byte{byte(n)}))
		}
		if err := l.a.Send(testContext(t), "eth0", frames); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		for n := range count {
			data := make([]byte, 100)
			size, sender, err := conn.ReadFromUDPAddrPort(data)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data[:size], []byte{byte(n)}) || sender != from {
				t.Fatalf("datagram %d is %v from %s", n, data[:size], sender)
			}
		}
	})

	t.Run("a segment to a port on which nobody listens is refused", func(t *testing.T) {
		own := Endpoint{src.MAC, netip.AddrPortFrom(l.a.Address("eth0", false), 50000)}
		sniffer, err := l.a.Sniff(testContext(t), "eth0", "tcp[tcpflags] & tcp-rst != 0")
		if err != nil {
			t.Fatal(err)
		}
		defer sniffer.Stop()
		if err := l.a.Send(testContext(t), "eth0", [][]byte{TCP(own, dst, SYN, 41, nil)}); err != nil {
			t.Fatal(err)
		}
		const acknowledgment = 14 + 20 + 8
		if _, err := sniffer.Await(testContext(t), func(f Frame) bool {
			return !f.Outgoing && binary.BigEndian.Uint32(f.Data[acknowledgment:]) == 42
		}); err != nil {
			t.Error(err)
		}
	})

	t.Run("a question is answered", func(t *testing.T) {
		sniffer, err := l.a.Sniff(testContext(t), "eth0", "arp[6:2] = 2 or (icmp6 and ip6[40] = 136)")
		if err != nil {
			t.Fatal(err)
		}
		defer sniffer.Stop()
		for _, asker := range []string{"10.0.1.98", "fd00:1::98"} {
			asker := netip.MustParseAddr(asker)
			frame, err := WhoHas(l.b.Address("eth0", asker.Is6()), asker, src.MAC)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.a.Send(testContext(t), "eth0", [][]byte{frame}); err != nil {
				t.Fatal(err)
			}
			if _, err := sniffer.Await(testContext(t), func(f Frame) bool { return !f.Outgoing && bytes.Contains(f.Data, asker.AsSlice()) }); err != nil {
				t.Errorf("%s: %v", asker, err)
			}
		}
	})
}

func TestDamageLeavesTheHeaderOfEthernetAndChangesTheRest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, pair := range [][2]string{{"10.0.1.1", "10.0.1.2"}, {"fd00::1", "fd00::2"}} {
		frame, err := WhoHas(netip.MustParseAddr(pair[0]), netip.MustParseAddr(pair[1]), mac)
		if err != nil {
			t.Fatal(err)
		}
		whole := slices.Clone(frame)
		short, summed, changed := 0, 0, 0
		for range 1000 {
			damaged := Damage(random, frame)
			switch {
			case !bytes.Equal(damaged[:14], whole[:14]):
				t.Fatalf("the header has become %x", damaged[:14])
			case bytes.Equal(damaged, whole):
				continue // it happens that a byte is changed to itself
			case len(damaged) < len(whole):
				short++
			case len(damaged) > 14+40 && checksum(damaged[14+8:14+40], uint32(len(damaged)-14-40), unix.IPPROTO_ICMPV6, damaged[14+40:]) == 0:
				summed++
			}
			changed++
		}
		if !bytes.Equal(frame, whole) {
			t.Error("the frame itself was changed")
		}
		if changed < 900 || short < 200 || pair[0] == "fd00::1" && summed < 200 {
			t.Errorf("of 1000 frames for %s, %d are damaged, %d too short, and %d have the right checksum", pair[0], changed, short, summed)
		}
	}
}
