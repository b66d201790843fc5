package speaker

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// fromPeer are some messages of a peer: a route, the end of the routes, a KEEPALIVE and something malformed.
func fromPeer(t *testing.T) (route, end, alive, malformed []byte) {
	t.Helper()
	serialized := func(m *gobgp.BGPMessage) []byte {
		b, err := m.Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	prefix, _ := gobgp.NewIPAddrPrefix(netip.MustParsePrefix("203.0.113.0/24"))
	hop, _ := gobgp.NewPathAttributeNextHop(netip.MustParseAddr("10.9.9.9"))
	route = serialized(gobgp.NewBGPUpdateMessage(nil, []gobgp.PathAttributeInterface{
		gobgp.NewPathAttributeOrigin(0), gobgp.NewPathAttributeAsPath(nil), hop,
	}, []gobgp.PathNLRI{{NLRI: prefix}}))
	malformed = bytes.Clone(route)
	malformed[gobgp.BGP_HEADER_LENGTH] = 0xff // more withdrawn routes than there are bytes
	return route, serialized(gobgp.NewEndOfRib(gobgp.RF_IPv6_UC)), serialized(gobgp.NewBGPKeepAliveMessage()), malformed
}

func TestWhatGoBGPGetsOfAPeer(t *testing.T) {
	route, end, alive, malformed := fromPeer(t)
	broken := bytes.Repeat([]byte{7}, 30)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tt := range []struct {
		name         string
		countsRoutes bool
		says, want   []byte
	}{
		{"no routes", false, join(end, route, alive, route), join(end, alive, alive, alive)},
		{"routes that are counted", true, join(route, end), join(route, end)},
		{"what is malformed", false, join(malformed, alive), join(malformed, alive)},
		{"what is no message", false, join(alive, broken), join(alive, broken)},
		{"a part of a message", false, join(alive, route[:25]), join(alive, route[:25])},
		{"a part of a header", false, route[:5], route[:5]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			if !(filter{countsRoutes: tt.countsRoutes}).copy(&got, bytes.NewReader(tt.says)) || !bytes.Equal(got.Bytes(), tt.want) {
				t.Errorf("gets %x, want %x", got.Bytes(), tt.want)
			}
		})
	}
}

func TestAMessageOnWhichReadingPanicsIsNotPassedOn(t *testing.T) {
	route, _, alive, _ := fromPeer(t)
	defer guard.Plant(func(kind string, _ any) bool { return kind == "message" })()
	var got bytes.Buffer
	var failed *guard.Panic
	if (filter{failed: func(p *guard.Panic) { failed = p }}).copy(&got, bytes.NewReader(bytes.Join([][]byte{route, alive}, nil))) {
		t.Error("it ends as if nothing had happened")
	}
	if got.Len() > 0 || failed == nil {
		t.Errorf("GoBGP gets %x, and what failed is %v", got.Bytes(), failed)
	}
}

func TestAMessageOnWhichReadingPanicsEndsItsSessionAlone(t *testing.T) {
	peers := stubs(t, func(conn net.Conn) {
		if greet(conn) == nil {
			_ = writeMessage(conn, gobgp.NewEndOfRib(gobgp.RF_IPv4_UC))
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	bad := peers[key("stub-0")].Address
	defer guard.Plant(func(kind string, object any) bool { return kind == "message" && object == bad })()
	beside(t, peers, func(s *Speaker) {
		refused(t, s, "stub-0", unreadable)
		for _, p := range s.Peers() {
			if p.Key == key("good") && p.State != bgp.Established {
				t.Errorf("the other session is %s", p.State)
			}
		}
	})
}
