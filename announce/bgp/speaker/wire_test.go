package speaker

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/announce/bgp"
)

// The capabilities of routers in these tests.
// Capabilities that routers have. Each OPEN has its own, since they keep their wire form.
func does4() gobgp.ParameterCapabilityInterface { return gobgp.NewCapMultiProtocol(gobgp.RF_IPv4_UC) }
func does6() gobgp.ParameterCapabilityInterface { return gobgp.NewCapMultiProtocol(gobgp.RF_IPv6_UC) }
func asn4() gobgp.ParameterCapabilityInterface  { return gobgp.NewCapFourOctetASNumber(65001) }

func keeps() gobgp.ParameterCapabilityInterface {
	return gobgp.NewCapGracefulRestart(false, false, 120, []*gobgp.CapGracefulRestartTuple{
		gobgp.NewCapGracefulRestartTuple(gobgp.RF_IPv4_UC, true), gobgp.NewCapGracefulRestartTuple(gobgp.RF_IPv6_UC, true),
	})
}

// extends is the capability for IPv4 routes with an IPv6 next hop.
func extends() gobgp.ParameterCapabilityInterface {
	return gobgp.NewCapExtendedNexthop([]*gobgp.CapExtendedNexthopTuple{gobgp.NewCapExtendedNexthopTuple(gobgp.RF_IPv4_UC, gobgp.AFI_IP6)})
}

// openOf is the OPEN of a router in autonomous system 65001.
func openOf(holdTime uint16, capabilities ...gobgp.ParameterCapabilityInterface) []byte {
	m, err := gobgp.NewBGPOpenMessage(65001, holdTime, netip.MustParseAddr("10.9.9.9"),
		[]gobgp.OptionParameterInterface{gobgp.NewOptionParameterCapability(capabilities)})
	if err != nil {
		panic(err)
	}
	return message(gobgp.BGP_MSG_OPEN, body(m))
}

// hear returns the next message of a node.
func hear(conn net.Conn, options ...*gobgp.MarshallingOption) (*gobgp.BGPMessage, error) {
	raw, err := readMessage(conn)
	if err != nil {
		return nil, err
	}
	if len(raw) > gobgp.BGP_MAX_MESSAGE_LENGTH {
		return nil, fmt.Errorf("a message of %d bytes", len(raw))
	}
	return gobgp.ParseBGPMessage(raw, options...)
}

// greetWith brings a session to where it is established, with this OPEN, and returns that of the node.
func greetWith(conn net.Conn, open []byte) (*gobgp.BGPOpen, error) {
	m, err := hear(conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(open); err != nil {
		return nil, err
	}
	if err := writeMessage(conn, gobgp.NewBGPKeepAliveMessage()); err != nil {
		return nil, err
	}
	return m.Body.(*gobgp.BGPOpen), nil
}

// heardRoutes are the prefixes that a node has announced with their next hops, and for which
// families it has said that these are all: early is before there were any.
type heardRoutes struct {
	hops       map[netip.Prefix]netip.Addr
	all, early bgp.Families
}

// listen hears the node until it has announced so many routes and, if ends is not 0, has said for
// these families that these are all.
func listen(conn net.Conn, routes int, ends bgp.Families, options ...*gobgp.MarshallingOption) (heardRoutes, error) {
	h := heardRoutes{hops: map[netip.Prefix]netip.Addr{}}
	for len(h.hops) < routes || h.all&ends != ends {
		m, err := hear(conn, options...)
		if err != nil {
			return h, fmt.Errorf("%w, after %+v", err, h)
		}
		if update, ok := m.Body.(*gobgp.BGPUpdate); ok {
			h.take(update)
		}
	}
	return h, nil
}

func (h *heardRoutes) take(update *gobgp.BGPUpdate) {
	if end, family := update.IsEndOfRib(); end {
		h.all |= ownFamily(family)
		early := ownFamily(family)
		for prefix := range h.hops {
			early &^= bgp.FamilyOf(prefix)
		}
		h.early |= early
		return
	}
	add := func(nlri gobgp.PathNLRI, hop netip.Addr) {
		h.hops[nlri.NLRI.(*gobgp.IPAddrPrefix).Prefix] = hop
	}
	for _, attribute := range update.PathAttributes {
		switch a := attribute.(type) {
		case *gobgp.PathAttributeNextHop:
			for _, n := range update.NLRI {
				add(n, a.Value)
			}
		case *gobgp.PathAttributeMpReachNLRI:
			for _, n := range a.Value {
				add(n, a.Nexthop)
			}
		}
	}
}

// TestNothingIsSentThatTheOpensHaveNotAgreed has many routers of every kind at once: what a node
// chooses before it has read their OPENs would be wrong for some.
func TestNothingIsSentThatTheOpensHaveNotAgreed(t *testing.T) {
	t.Parallel()
	const each = 6
	site := newSite(t)
	v4, v6 := netip.MustParsePrefix("198.51.100.1/32"), netip.MustParsePrefix("2001:db8:ff::1/128")
	for i, test := range []struct {
		name         string
		at           netip.Addr
		capabilities func() []gobgp.ParameterCapabilityInterface
		want         map[netip.Prefix]netip.Addr
		ends         bgp.Families
	}{
		{"over IPv6, both families, no IPv6 next hop for IPv4", site.v6, func() []gobgp.ParameterCapabilityInterface {
			return []gobgp.ParameterCapabilityInterface{does4(), does6(), asn4()}
		}, map[netip.Prefix]netip.Addr{v4: site.node4, v6: site.node6}, 0},
		{"over IPv6, the same and graceful restart", site.v6, func() []gobgp.ParameterCapabilityInterface {
			return []gobgp.ParameterCapabilityInterface{does4(), does6(), asn4(), keeps()}
		}, map[netip.Prefix]netip.Addr{v4: site.node4, v6: site.node6}, bgp.IPv4 | bgp.IPv6},
		{"over IPv6, with an IPv6 next hop for IPv4", site.v6, func() []gobgp.ParameterCapabilityInterface {
			return []gobgp.ParameterCapabilityInterface{does4(), does6(), asn4(), keeps(), extends()}
		}, map[netip.Prefix]netip.Addr{v4: site.node6, v6: site.node6}, bgp.IPv4 | bgp.IPv6},
		{"over IPv6, with such a next hop but without IPv4", site.v6, func() []gobgp.ParameterCapabilityInterface {
			return []gobgp.ParameterCapabilityInterface{does6(), asn4(), extends()}
		}, map[netip.Prefix]netip.Addr{v6: site.node6}, 0},
		{"over IPv4, IPv4 alone", site.v4, func() []gobgp.ParameterCapabilityInterface {
			return []gobgp.ParameterCapabilityInterface{does4(), asn4()}
		}, map[netip.Prefix]netip.Addr{v4: site.node4}, 0},
		{"over IPv4, no capabilities at all", site.v4, func() []gobgp.ParameterCapabilityInterface { return nil },
			map[netip.Prefix]netip.Addr{v4: site.node4}, 0},
	} {
		results := make(chan error, each)
		peers, told := map[bgp.SessionKey]bgp.Peer{}, map[bgp.SessionKey][]bgp.Route{}
		for n := range each {
			p := site.peer()
			p.Address, p.Port, p.RestartTime, p.HoldTime = test.at, uint16(2000+100*i+n), time.Minute, 0 // a router that is silent
			site.stub(netip.AddrPortFrom(p.Address, p.Port), func(conn net.Conn) {
				results <- agreed(conn, test.capabilities(), test.want, test.ends)
				io.Copy(io.Discard, conn)
			})
			k := key(fmt.Sprintf("%d-%d", i, n))
			peers[k], told[k] = p, both
		}
		s := newSpeaker(t, false)
		stop := run(t, s)
		s.Set(peers, told)
		for range each {
			if err := <-results; err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		stop()
	}
}

// agreed is a router with some capabilities: the first that it hears are these routes, and then,
// for the families that end, that these are all.
func agreed(conn net.Conn, capabilities []gobgp.ParameterCapabilityInterface, want map[netip.Prefix]netip.Addr, ends bgp.Families) error {
	if _, err := greetWith(conn, openOf(90, capabilities...)); err != nil {
		return err
	}
	options := &gobgp.MarshallingOption{Use2ByteAS: len(capabilities) == 0}
	got, err := listen(conn, len(want), ends, options)
	if err != nil {
		return err
	}
	if got.early != 0 {
		return fmt.Errorf("there were no %s routes yet when it said that these are all", got.early)
	}
	for prefix, hop := range got.hops {
		if want[prefix] != hop {
			return fmt.Errorf("%s by way of %s, want %v", prefix, hop, want)
		}
	}
	return nil
}

// bits are what an OPEN says of a restart: of the node, and of the families that it forwards.
type bits struct{ restarted, preserved bool }

func bitsOf(open *gobgp.BGPOpen) bits {
	for _, capability := range capabilities(open) {
		if c, ok := capability.(*gobgp.CapGracefulRestart); ok {
			return bits{c.Flags&0x8 != 0, len(c.Tuples) == 2 && !slices.ContainsFunc(c.Tuples, func(t *gobgp.CapGracefulRestartTuple) bool { return t.Flags&0x80 == 0 })}
		}
	}
	return bits{}
}

// TestOnlyARestartOfThisNodeIsCalledOne has routers end the connection, as one does that restarts:
// they wait for the routes of those alone that have not restarted too (RFC 4724, section 4.1).
func TestOnlyARestartOfThisNodeIsCalledOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		restarted bool
		end       func(net.Conn)
		want      []bits
	}{
		{"a router that closes the connection", false, func(net.Conn) {}, []bits{{false, false}, {false, true}, {false, true}}},
		{"a router that resets the connection", false, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, []bits{{false, false}, {false, true}, {false, true}}},
		{"a router that sends a NOTIFICATION", false, func(c net.Conn) { writeMessage(c, gobgp.NewBGPNotificationMessage(6, 4, nil)) },
			[]bits{{false, false}, {false, true}, {false, true}}},
		{"after a restart", true, func(net.Conn) {}, []bits{{true, true}, {false, true}, {false, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			opens := make(chan bits)
			var sessions atomic.Int64
			peers := stubs(t, func(conn net.Conn) {
				open, err := greetWith(conn, openOf(90, does4(), does6(), asn4(), keeps()))
				if err != nil {
					return
				}
				if sessions.Add(1) > int64(len(test.want)) {
					return
				}
				_, err = listen(conn, len(both), bgp.IPv4|bgp.IPv6)
				if err != nil {
					t.Error(err)
				}
				test.end(conn)
				opens <- bitsOf(open)
			})
			s := newSpeaker(t, test.restarted)
			stop := run(t, s)
			p := peers[key("stub-0")]
			p.RestartTime, p.HoldTime = time.Minute, 0 // a router that is silent
			s.Set(alone(p), say(both))
			for i, want := range test.want {
				if got := <-opens; got != want {
					t.Errorf("OPEN %d says %+v, want %+v", i, got, want)
				}
			}
			stop()
		})
	}
}

// TestAnAggregateIsHeardBeforeItsPartsLeave has a router that follows what it can reach.
func TestAnAggregateIsHeardBeforeItsPartsLeave(t *testing.T) {
	t.Parallel()
	const parts = 3000 // more than one UPDATE has room for
	messages := make(chan *gobgp.BGPUpdate, 1000)
	peers := stubs(t, func(conn net.Conn) {
		if _, err := greetWith(conn, openOf(90, does4(), asn4())); err != nil {
			return
		}
		for {
			m, err := hear(conn)
			if err != nil {
				return
			}
			if update, ok := m.Body.(*gobgp.BGPUpdate); ok {
				messages <- update
			}
		}
	})
	p := peers[key("stub-0")]
	p.HoldTime = 0 // a router that is silent
	peers[key("stub-0")] = p
	s := newSpeaker(t, false)
	run(t, s)
	aggregate := routes(nil, "100.64.0.0/10")
	has := map[netip.Prefix]bool{}
	become := func(when string, rs []bgp.Route) {
		t.Helper()
		s.Set(peers, map[bgp.SessionKey][]bgp.Route{key("stub-0"): rs})
		complete := func() bool {
			if len(has) != len(rs) {
				return false
			}
			return has[rs[0].Prefix]
		}
		for !complete() {
			update := <-messages
			for _, w := range update.WithdrawnRoutes {
				if gone := w.NLRI.(*gobgp.IPAddrPrefix).Prefix; !has[rs[0].Prefix] || !has[rs[len(rs)-1].Prefix] {
					t.Fatalf("%s: %s leaves before all has come", when, gone)
				}
				delete(has, w.NLRI.(*gobgp.IPAddrPrefix).Prefix)
			}
			for _, n := range update.NLRI {
				has[n.NLRI.(*gobgp.IPAddrPrefix).Prefix] = true
			}
		}
	}
	become("at first", block(parts, nil))
	for range 3 {
		become("an aggregate", aggregate)
		become("its parts", block(parts, nil))
	}
}

func TestASessionEndsAtOnceWhenItsAddressGoes(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.HoldTime = time.Hour
	s.Set(alone(p), nil)
	established(t, s, "tor")
	eth := interfaceOf(t, r.node4)
	must(t, netlink.AddrDel(eth, address(t, r.node4.String()+"/24")))
	eventually(t, "a lost session", func() (bool, any) {
		p := status(s, "tor")
		return p.State != bgp.Established && p.Flaps == 1, p
	})
	must(t, netlink.AddrAdd(eth, address(t, r.node4.String()+"/24")))
	established(t, s, "tor")
}
