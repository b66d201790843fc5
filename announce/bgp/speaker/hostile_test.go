package speaker

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// beside runs a Speaker with peers that are not what they should be and a router that is, and
// checks that the latter has one session all the time and learns what it is told.
func beside(t *testing.T, peers map[bgp.SessionKey]bgp.Peer, during func(s *Speaker)) {
	t.Helper()
	good := newRouter(t, plain("neighbor NODE timers 20 60")...)
	peer := good.peer()
	peer.HoldTime = time.Minute // whatever keeps the machine busy
	s := newSpeaker(t, false)
	stop := run(t, s)
	all := maps.Clone(peers)
	all[key("good")] = peer
	tell := func(prefix string) {
		told := map[bgp.SessionKey][]bgp.Route{}
		for key := range all {
			told[key] = routes(nil, prefix)
		}
		s.Set(all, told)
		good.has(map[string]string{prefix: "NODE"})
	}
	tell("198.51.100.1/32")
	during(s)
	tell("198.51.100.2/32")
	s.Set(map[bgp.SessionKey]bgp.Peer{key("good"): peer}, map[bgp.SessionKey][]bgp.Route{key("good"): routes(nil, "198.51.100.3/32")})
	good.has(map[string]string{"198.51.100.3/32": "NODE"})
	eventually(t, "the others to be gone", func() (bool, any) { return len(s.Peers()) == 1, s.Peers() })
	if n := good.neighbor(good.node4.String()); n.State != "Established" || n.Established != 1 {
		t.Errorf("the router beside: %+v", n)
	}
	stop()
}

func TestARouterThatAcceptsAndSaysNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	connections := atomic.Int64{}
	beside(t, stubs(t, func(conn net.Conn) {
		connections.Add(1)
		io.Copy(io.Discard, conn)
	}), func(s *Speaker) {
		refused(t, s, "stub-0", "the router accepts connections and says nothing")
		eventually(t, "another attempt", func() (bool, any) { return connections.Load() > 1, connections.Load() })
	})
}

func TestARouterThatFallsSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	beside(t, stubs(t, func(conn net.Conn) {
		if greet(conn) == nil {
			io.Copy(io.Discard, conn)
		}
	}), func(s *Speaker) {
		eventually(t, "a lost session", func() (bool, any) {
			p := status(s, "stub-0")
			return p.Flaps > 0, p
		})
	})
}

func TestARouterThatStopsReadingHoldsUpNobodyAndIsGivenUp(t *testing.T) {
	peers := stubs(t, func(conn net.Conn) {
		if greet(conn) == nil {
			live(conn)
		}
	})
	p := peers[key("stub-0")]
	p.HoldTime = bgp.MinHoldTime
	peers[key("stub-0")] = p
	beside(t, peers, func(s *Speaker) {
		established(t, s, "stub-0")
		n := s.neighbors[key("stub-0")]
		// What is said becomes more than fits into all buffers on the way: each route fills a message.
		said := uint32(0)
		eventually(t, "the router given up", func() (bool, any) {
			rs := block(500, nil)
			for i := range rs {
				said++
				communities := make([]bgp.LargeCommunity, 250)
				for n := range communities {
					communities[n] = bgp.LargeCommunity{Global: 65000, Local1: uint32(n), Local2: said}
				}
				rs[i].Attributes = &bgp.Attributes{LargeCommunities: communities}
			}
			peer, _, _ := n.wanted()
			n.set(*peer, rs)
			p := status(s, "stub-0")
			return p.Flaps > 0 && p.Problem.Kind == bgp.SendHoldTimerExpired, p
		})
	})
}

func TestRoutersThatSendAnythingHarmNobody(t *testing.T) {
	const count = 40
	var sent atomic.Int64
	var serve []func(net.Conn)
	for seed := range uint64(count) {
		random := rand.New(rand.NewPCG(seed, 1))
		serve = append(serve, func(conn net.Conn) {
			// One connection at a time comes to each.
			if random.IntN(4) == 0 {
				conn.Write(noise(random, 1+random.IntN(200)))
				conn.Write(message(byte(random.IntN(7)), noise(random, random.IntN(100))))
				sent.Add(1)
				return
			}
			if random.IntN(4) == 0 {
				readMessage(conn)
				conn.Write(message(gobgp.BGP_MSG_OPEN, spoilt(random, openBody())))
				sent.Add(1)
				io.Copy(io.Discard, conn)
				return
			}
			if greet(conn) != nil {
				return
			}
			go io.Copy(io.Discard, conn)
			for range 1 + random.IntN(50) {
				kind := byte(1 + random.IntN(5))
				body := noise(random, random.IntN(300))
				if random.IntN(3) != 0 {
					kind, body = gobgp.BGP_MSG_UPDATE, spoilt(random, updateBody(random))
				}
				if _, err := conn.Write(message(kind, body)); err != nil {
					return
				}
				sent.Add(1)
			}
		})
	}
	beside(t, stubs(t, serve...), func(*Speaker) {
		eventually(t, "enough of it", func() (bool, any) { return sent.Load() > 10*count, sent.Load() })
	})
}

// noise is n bytes of anything.
func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// spoilt changes up to three bytes, and cuts the end off sometimes.
func spoilt(random *rand.Rand, b []byte) []byte {
	for range random.IntN(4) {
		b[random.IntN(len(b))] = byte(random.Uint32())
	}
	if random.IntN(4) == 0 {
		b = b[:random.IntN(len(b))]
	}
	return b
}

func openBody() []byte {
	m, err := gobgp.NewBGPOpenMessage(65001, 90, netip.MustParseAddr("10.9.9.9"), []gobgp.OptionParameterInterface{
		gobgp.NewOptionParameterCapability([]gobgp.ParameterCapabilityInterface{
			gobgp.NewCapMultiProtocol(gobgp.RF_IPv4_UC), gobgp.NewCapFourOctetASNumber(65001), gobgp.NewCapFQDN("router", "example"),
			gobgp.NewCapGracefulRestart(true, true, 120, []*gobgp.CapGracefulRestartTuple{gobgp.NewCapGracefulRestartTuple(gobgp.RF_IPv4_UC, true)}),
			gobgp.NewCapExtendedNexthop([]*gobgp.CapExtendedNexthopTuple{gobgp.NewCapExtendedNexthopTuple(gobgp.RF_IPv4_UC, gobgp.AFI_IP6)}),
		}),
	})
	if err != nil {
		panic(err)
	}
	return body(m)
}

func updateBody(random *rand.Rand) []byte {
	nlri, err := gobgp.NewIPAddrPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(random.Uint32()), byte(random.Uint32())}), 32))
	if err != nil {
		panic(err)
	}
	hop, err := gobgp.NewPathAttributeNextHop(netip.MustParseAddr("10.9.9.9"))
	if err != nil {
		panic(err)
	}
	v6, err := gobgp.NewIPAddrPrefix(netip.MustParsePrefix("2001:db8:9::/48"))
	if err != nil {
		panic(err)
	}
	reach, err := gobgp.NewPathAttributeMpReachNLRI(gobgp.RF_IPv6_UC, []gobgp.PathNLRI{{NLRI: v6}}, netip.MustParseAddr("2001:db8::9"))
	if err != nil {
		panic(err)
	}
	path := gobgp.NewPathAttributeAsPath([]gobgp.AsPathParamInterface{gobgp.NewAs4PathParam(gobgp.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{65001, random.Uint32()})})
	return body(gobgp.NewBGPUpdateMessage(nil, []gobgp.PathAttributeInterface{
		gobgp.NewPathAttributeOrigin(0), path, hop, gobgp.NewPathAttributeMultiExitDisc(1), gobgp.NewPathAttributeCommunities([]uint32{1, 2}),
		gobgp.NewPathAttributeLargeCommunities([]*gobgp.LargeCommunity{gobgp.NewLargeCommunity(1, 2, 3)}), reach,
	}, []gobgp.PathNLRI{{NLRI: nlri}}))
}

func body(m *gobgp.BGPMessage) []byte {
	b, err := m.Serialize()
	if err != nil {
		panic(err)
	}
	return b[gobgp.BGP_HEADER_LENGTH:]
}

func TestAHundredThousandReceivedRoutesAreNoBurden(t *testing.T) {
	var sent atomic.Bool
	beside(t, stubs(t, func(conn net.Conn) {
		if greet(conn) == nil {
			go io.Copy(io.Discard, conn)
			receive(conn, block(100_000, nil))
			sent.Store(true)
			live(conn)
		}
	}), func(s *Speaker) {
		eventually(t, "all routes sent", func() (bool, any) { return sent.Load(), nil })
		established(t, s, "stub-0")
	})
}

// receive sends the node routes.
func receive(conn net.Conn, rs []bgp.Route) {
	hop, _ := gobgp.NewPathAttributeNextHop(netip.MustParseAddr("10.9.9.9"))
	attrs := []gobgp.PathAttributeInterface{
		gobgp.NewPathAttributeOrigin(0),
		gobgp.NewPathAttributeAsPath([]gobgp.AsPathParamInterface{gobgp.NewAs4PathParam(gobgp.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{65001})}),
		hop,
	}
	for few := range slices.Chunk(rs, 500) {
		var nlris []gobgp.PathNLRI
		for _, r := range few {
			nlri, _ := gobgp.NewIPAddrPrefix(r.Prefix)
			nlris = append(nlris, gobgp.PathNLRI{NLRI: nlri})
		}
		if writeMessage(conn, gobgp.NewBGPUpdateMessage(nil, attrs, nlris)) != nil {
			return
		}
	}
}

// block is that many routes to single addresses, in order.
func block(count int, a *bgp.Attributes) []bgp.Route {
	rs := make([]bgp.Route, 0, count)
	for addr := netip.MustParseAddr("100.64.0.0"); len(rs) < count; addr = addr.Next() {
		rs = append(rs, bgp.Route{Prefix: netip.PrefixFrom(addr, 32), Attributes: a})
	}
	return rs
}

func TestRoutersThatCloseTheSessionForAnyReasonHarmNobody(t *testing.T) {
	t.Parallel()
	var serve []func(net.Conn)
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 2))
		serve = append(serve, func(conn net.Conn) {
			var err error
			if seed%2 == 0 {
				_, err = readMessage(conn)
			} else {
				err = greet(conn)
			}
			if err == nil {
				// Codes that there are and some that there are not.
				conn.Write(message(gobgp.BGP_MSG_NOTIFICATION, append([]byte{byte(seed / 4), byte(random.IntN(12))}, noise(random, random.IntN(300))...)))
				io.Copy(io.Discard, conn)
			}
		})
	}
	peers := stubs(t, serve...)
	beside(t, peers, func(s *Speaker) {
		for i := range len(peers) {
			refused(t, s, fmt.Sprintf("stub-%d", i), []string{"the router refused the session: ", "the router closed the session: "}[i%2])
		}
	})
}
