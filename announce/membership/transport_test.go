package membership

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"k8s.io/klog/v2/ktesting"
)

// dialFrom connects to a member from an address of this machine, as soon as that listens.
func dialFrom(t *testing.T, from, to netip.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	for deadline := time.Now().Add(patience); ; {
		conn, err := dialer.DialContext(t.Context(), "tcp", netip.AddrPortFrom(to, DefaultPort).String())
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// closed waits until the other side has closed a connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("it is still open: %v", err)
	}
}

func TestWhoIsNoNodeIsNotListenedTo(t *testing.T) {
	loopback(t)
	c, _ := start(t, "a", local(1))
	c.SetNodes([]netip.Addr{local(1), local(2)})
	t.Run("by TCP", func(t *testing.T) {
		for range 2 * maxStreams {
			closed(t, dialFrom(t, local(9), local(1)))
		}
	})
	t.Run("by UDP, and with the key", func(t *testing.T) {
		member, _ := start(t, "c", local(3))
		member.SetPeers(map[string]netip.Addr{"a": local(1)})
		awaitJoined(t, member) // it has tried, without success
		if got := c.Alive(); len(got) != 1 {
			t.Errorf("a sees %v", got)
		}
		node, _ := start(t, "b", local(2))
		node.SetPeers(map[string]netip.Addr{"a": local(1)})
		awaitAlive(t, c, "a", "b")
	})
}

func TestPacketsOfStrangersCostNoMemory(t *testing.T) {
	loopback(t)
	c, _ := start(t, "a", local(1))
	c.SetNodes([]netip.Addr{local(1), local(2)})
	node, _ := start(t, "b", local(2))
	node.SetPeers(map[string]netip.Addr{"a": local(1)})
	awaitAlive(t, c, "a", "b")
	awaitAlive(t, node, "a", "b")
	stranger, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local(9), 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(local(1), DefaultPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds, packets = 50, 20
	for range rounds {
		for range packets {
			if _, err := stranger.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		// What comes after them is read after them.
		node.Tell("a", []byte("hello"))
		for len(c.Messages()) == 0 {
			<-c.Changed()
		}
	}
	runtime.ReadMemStats(&after)
	if spent := (after.TotalAlloc - before.TotalAlloc) / (rounds * packets); spent > 10_000 {
		t.Errorf("each of %d packets cost %d bytes", rounds*packets, spent)
	}
}

func TestNobodyIsBelievedInAtTheAddressOfNoNode(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1)})
	for _, tt := range []struct {
		nodes []netip.Addr
		peer  netip.Addr
		want  bool
	}{
		{nil, local(9), true}, // nodes are not known yet
		{[]netip.Addr{}, local(9), false},
		{[]netip.Addr{}, local(1), true}, // itself
		{[]netip.Addr{local(2)}, local(2), true},
		{[]netip.Addr{local(2)}, local(3), false},
		{[]netip.Addr{netip.MustParseAddr("fd00::2")}, netip.MustParseAddr("fd00::2"), true},
		{[]netip.Addr{netip.MustParseAddr("fd00::2")}, netip.MustParseAddr("fd00::3"), false},
	} {
		if tt.nodes != nil {
			c.SetNodes(tt.nodes)
		}
		err := admission{c}.NotifyAlive(&memberlist.Node{Addr: net.IP(tt.peer.AsSlice())})
		if (err == nil) != tt.want {
			t.Errorf("nodes %v, member at %s: %v", tt.nodes, tt.peer, err)
		}
	}
}

func TestANodeHasOnlySoManyStreams(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1), Logger: ktesting.NewLogger(t, ktesting.NewConfig())})
	tr := &transport{cluster: c, open: map[netip.Addr]int{}}
	admit := func(from netip.Addr) (net.Conn, bool) { return tr.admit(connFrom{from: from}) }
	var first net.Conn
	for n := range maxStreamsFrom {
		s, ok := admit(local(2))
		if !ok {
			t.Fatalf("stream %d is refused", n)
		}
		first = s
	}
	if _, ok := admit(local(2)); ok {
		t.Errorf("one node has more than %d", maxStreamsFrom)
	}
	if _, ok := admit(local(3)); !ok {
		t.Error("another node is refused because of the first")
	}
	first.Close()
	first.Close() // closed twice, it makes room once
	if _, ok := admit(local(2)); !ok {
		t.Error("a stream that was closed makes no room")
	}
	if _, ok := admit(local(2)); ok {
		t.Error("a stream that was closed twice makes room twice")
	}
	for n := 0; tr.total < maxStreams; n++ {
		if _, ok := admit(netip.AddrFrom4([4]byte{127, 0, 1, byte(n)})); !ok {
			t.Fatalf("refused after %d of %d", tr.total, maxStreams)
		}
	}
	if _, ok := admit(local(200)); ok {
		t.Errorf("there are more than %d", maxStreams)
	}
}

func TestOnlySoMuchIsReadFromAStream(t *testing.T) {
	s := &stream{Conn: connFrom{in: bytes.NewReader(make([]byte, 2*maxStreamSize))}, left: maxStreamSize}
	n, err := io.Copy(io.Discard, s)
	if n != maxStreamSize || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %d bytes, then %v", n, err)
	}
}

// connFrom is a connection from an address, from which nothing or something can be read.
type connFrom struct {
	net.Conn
	from netip.Addr
	in   io.Reader
}

func (c connFrom) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 1024))
}
func (c connFrom) Read(b []byte) (int, error) { return c.in.Read(b) }
func (c connFrom) Close() error               { return nil }
