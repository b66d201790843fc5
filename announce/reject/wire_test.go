package reject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/netfilter"
	"github.com/clarionlb/clarion/internal/netnstest"
)

// TestMain runs the tests in a network namespace of their own, which plays the node and goes when they end.
func TestMain(m *testing.M) { netnstest.Main(m.Run) }

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// family is a way to address the machines of a test.
type family struct {
	ipv4 bool
	// client and router are networks of the node with one of them. The node has the first address,
	// and the other machine the second one.
	client, router netip.Prefix
	// announced is an address that the node announces, and aggregate a network that it announces.
	announced netip.Addr
	aggregate netip.Prefix
	// other is an address that the node does not announce, which is behind the router too.
	other netip.Addr
}

var families = map[string]family{
	"IPv4": {
		true, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParseAddr("203.0.113.7"), netip.MustParsePrefix("203.0.113.64/26"), netip.MustParseAddr("203.0.113.8"),
	},
	"IPv6": {
		false, netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/64"),
		netip.MustParseAddr("2001:db8:3::7"), netip.MustParsePrefix("2001:db8:3::40/122"), netip.MustParseAddr("2001:db8:3::8"),
	},
}

// node is the node between a client and a router that sends announced addresses there. It sends
// what it does not know to the router.
type node struct {
	t *testing.T
	family
	client, router *netnstest.Host
	rejects        *Rejects
}

func newNode(t *testing.T, f family) *node {
	n := &node{t: t, family: f, client: netnstest.NewHost(t), router: netnstest.NewHost(t), rejects: New("test", klog.Background())}
	for setting, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1",
		"ipv6/conf/default/accept_dad": "0", // the node's own addresses can be used at once
		"ipv4/icmp_ratelimit":          "0", "ipv6/icmp/ratelimit": "0",
	} {
		must(t, os.WriteFile("/proc/sys/net/"+setting, []byte(value), 0o644))
	}
	n.connect(n.client, f.client)
	toRouter := n.connect(n.router, f.router)
	all := netip.PrefixFrom(n.first(f.router), 0).Masked()
	must(t, netlink.RouteAdd(route(toRouter, all, second(f.router))))
	index := func(h *netnstest.Host) int {
		l, err := h.NL.LinkByName("eth0")
		must(t, err)
		return l.Attrs().Index
	}
	must(t, n.client.NL.RouteAdd(route(index(n.client), all, n.first(f.client))))
	must(t, n.router.NL.RouteAdd(route(index(n.router), all, n.first(f.router))))
	t.Cleanup(func() {
		n.rejects.Set(nil, time.Now())
		n.rejects.Step(time.Now().Add(linger))
	})
	return n
}

func (n *node) first(p netip.Prefix) netip.Addr { return p.Addr().Next() }
func second(p netip.Prefix) netip.Addr          { return p.Addr().Next().Next() }

// connect has a network with a host, and returns the index of the interface there.
func (n *node) connect(h *netnstest.Host, network netip.Prefix) int {
	name := h.Cable("eth0")
	h.Address("eth0", netip.PrefixFrom(second(network), network.Bits()).String())
	netnstest.Node(n.t).Address(name, netip.PrefixFrom(n.first(network), network.Bits()).String())
	l, err := netlink.LinkByName(name)
	must(n.t, err)
	return l.Attrs().Index
}

func route(index int, to netip.Prefix, gateway netip.Addr) *netlink.Route {
	return &netlink.Route{
		LinkIndex: index, Gw: gateway.AsSlice(),
		Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())},
	}
}

func (n *node) announce(prefixes ...netip.Prefix) {
	n.t.Helper()
	set := map[netip.Prefix]struct{}{}
	for _, p := range prefixes {
		set[p] = struct{}{}
	}
	n.rejects.Set(set, time.Now())
	if s := n.rejects.Sentence(); s != "" {
		n.t.Fatal(s)
	}
}

func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// dial has the client connect, by that local port if it is none.
func (n *node) dial(network string, to netip.Addr, port, local uint16) (conn net.Conn, err error) {
	n.t.Helper()
	dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(second(n.family.client), local))}
	if network == "udp" {
		dialer.LocalAddr = nil
	}
	err = n.client.Try(func() (err error) {
		conn, err = dialer.Dial(network, netip.AddrPortFrom(to, port).String())
		return err
	})
	if err == nil {
		n.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func (n *node) refuses(to netip.Addr, port uint16) {
	n.t.Helper()
	if _, err := n.dial("tcp", to, port, 0); !errors.Is(err, syscall.ECONNREFUSED) {
		n.t.Errorf("TCP to port %d of %s: %v", port, to, err)
	}
	conn, err := n.dial("udp", to, port, 0)
	must(n.t, err)
	_, err = conn.Write([]byte("hello"))
	must(n.t, err)
	must(n.t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		n.t.Errorf("UDP to port %d of %s: %v", port, to, err)
	}
}

// serve has the router greet what connects to it, as an endpoint.
func (n *node) serve(port uint16) {
	n.t.Helper()
	n.router.In(func() error {
		l, err := net.Listen("tcp", netip.AddrPortFrom(second(n.family.router), port).String())
		if err != nil {
			return err
		}
		n.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, "served")
				conn.Close()
			}
		}()
		return nil
	})
}

// translate has the node translate a port of the announced address as kube-proxy does.
func (n *node) translate(port uint16) {
	n.t.Helper()
	table := &nftables.Table{Name: "kube-proxy", Family: nftables.TableFamilyIPv4}
	if !n.ipv4 {
		table.Family = nftables.TableFamilyIPv6
	}
	change := func(do func(*nftables.Conn)) error {
		return netfilter.Transact(table.Name, func(conn *nftables.Conn) error {
			do(conn)
			return nil
		})
	}
	must(n.t, change(func(conn *nftables.Conn) {
		conn.AddTable(table)
		chain := conn.AddChain(&nftables.Chain{
			Table: table, Name: "prerouting", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
		})
		nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV6, RegAddrMin: 2}
		if n.ipv4 {
			nat.Family = unix.NFPROTO_IPV4
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(
			[]expr.Any{
				netfilter.Destination(n.ipv4),
				&expr.Cmp{Op: expr.CmpOpEq, Register: netfilter.Register, Data: n.announced.AsSlice()},
			},
			netfilter.ProtocolIs(unix.IPPROTO_TCP),
			[]expr.Any{
				&expr.Payload{DestRegister: netfilter.Register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: netfilter.Register, Data: []byte{byte(port >> 8), byte(port)}},
				&expr.Immediate{Register: 2, Data: second(n.family.router).AsSlice()},
				nat,
			},
		)})
	}))
	n.t.Cleanup(func() { must(n.t, change(func(conn *nftables.Conn) { conn.DelTable(table) })) })
}

func (n *node) serves(port, local uint16) {
	n.t.Helper()
	conn, err := n.dial("tcp", n.announced, port, local)
	must(n.t, err)
	if text, err := io.ReadAll(conn); string(text) != "served" {
		n.t.Errorf("got %q, %v", text, err)
	}
}

// forwarded is what the node sends to the router that is for one of these addresses, until it sends
// something for the last one. Something for each of them is on its way to the node.
func (n *node) forwarded(to ...netip.Addr) (arrived []netip.Addr) {
	n.t.Helper()
	var conn *packet.Conn
	etherType, at := unix.ETH_P_IPV6, 14+24
	if n.ipv4 {
		etherType, at = unix.ETH_P_IP, 14+16
	}
	n.router.In(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, etherType, nil)
		return err
	})
	defer conn.Close()
	for _, addr := range to {
		udp, err := n.dial("udp", addr, 9, 0)
		must(n.t, err)
		_, err = udp.Write([]byte("hello"))
		must(n.t, err)
	}
	must(n.t, conn.SetReadDeadline(time.Now().Add(patience)))
	for b := make([]byte, 2048); ; {
		size, _, err := conn.ReadFrom(b)
		must(n.t, err)
		if size < at+16 {
			continue
		}
		addr, _ := netip.AddrFromSlice(b[at : at+n.announced.BitLen()/8])
		if slices.Contains(to, addr) {
			arrived = append(arrived, addr)
		}
		if addr == to[len(to)-1] {
			return arrived
		}
	}
}

func inFamilies(t *testing.T, test func(*testing.T, *node)) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) { test(t, newNode(t, f)) })
	}
}

func TestWhatNobodyServesIsRefusedAtOnceAndNotSentBack(t *testing.T) {
	inFamilies(t, func(t *testing.T, n *node) {
		inAggregate := n.aggregate.Addr().Next()
		if got := n.forwarded(n.announced, n.other); !slices.Equal(got, []netip.Addr{n.announced, n.other}) {
			t.Fatalf("without a rule, %v is forwarded", got)
		}
		n.announce(single(n.announced), n.aggregate)
		n.refuses(n.announced, 81)
		n.refuses(inAggregate, 81)
		// What is not announced goes on to where it did.
		if got := n.forwarded(n.announced, inAggregate, n.other); !slices.Equal(got, []netip.Addr{n.other}) {
			t.Errorf("%v is forwarded", got)
		}
		// The aggregate ends, the address stays.
		n.announce(single(n.announced))
		n.rejects.Step(time.Now().Add(linger))
		if got := n.forwarded(n.announced, inAggregate, n.other); !slices.Equal(got, []netip.Addr{inAggregate, n.other}) {
			t.Errorf("after the aggregate, %v is forwarded", got)
		}
		n.announce()
		n.rejects.Step(time.Now().Add(linger))
		if got := n.forwarded(n.announced, n.other); !slices.Equal(got, []netip.Addr{n.announced, n.other}) {
			t.Errorf("in the end %v is forwarded", got)
		}
		if there := tableThere(t); there {
			t.Error("there is a table still")
		}
	})
}

// A connection that is refused because kube-proxy is not ready yet is not remembered: the next one
// from the same port is served.
func TestWhatIsServedIsUntouchedAsSoonAsItIs(t *testing.T) {
	inFamilies(t, func(t *testing.T, n *node) {
		n.announce(single(n.announced))
		const local = 40_000
		if _, err := n.dial("tcp", n.announced, 80, local); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("before it is served: %v", err)
		}
		n.serve(80)
		n.translate(80)
		n.serves(80, local)
		n.refuses(n.announced, 81)
	})
}

// An address that is on an interface of the node is the node's to answer for, as with kube-proxy in
// IPVS mode.
func TestTheNodesOwnAddressesAreLeftAlone(t *testing.T) {
	inFamilies(t, func(t *testing.T, n *node) {
		netnstest.Node(t).Address("lo", single(n.announced).String())
		t.Cleanup(func() {
			addr, err := netnstest.ParseAddress(single(n.announced).String())
			must(t, err)
			lo, err := netlink.LinkByName("lo")
			must(t, err)
			must(t, netlink.AddrDel(lo, addr))
		})
		l, err := net.Listen("tcp", netip.AddrPortFrom(n.announced, 82).String())
		must(t, err)
		defer l.Close()
		n.announce(single(n.announced))
		conn, err := n.dial("tcp", n.announced, 82, 0)
		must(t, err)
		conn.Close()
	})
}

// A table that nobody keeps alive refuses nothing.
func TestTheTableOfAnAnnouncerThatIsGoneIsWithoutEffect(t *testing.T) {
	inFamilies(t, func(t *testing.T, n *node) {
		n.announce(single(n.announced))
		must(t, netfilter.Transact("", func(conn *nftables.Conn) error {
			conn.FlushSet(alive((&table{name: tablePrefix + "test"}).table()))
			return nil
		}))
		if got := n.forwarded(n.announced, n.other); !slices.Equal(got, []netip.Addr{n.announced, n.other}) {
			t.Errorf("%v is forwarded", got)
		}
		n.rejects.Step(time.Now().Add(refresh))
		n.refuses(n.announced, 81)

		// The next process goes on with it, or ends it.
		n.rejects = New("test", klog.Background())
		n.announce(single(n.announced))
		n.refuses(n.announced, 81)
		n.rejects = New("test", klog.Background())
		n.announce()
		if there := tableThere(t); there {
			t.Error("there is a table still")
		}
	})
}

func tableThere(t *testing.T) bool {
	t.Helper()
	conn, err := nftables.New()
	must(t, err)
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	must(t, err)
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tablePrefix+"test" })
}

func TestManyAddressesAreRefused(t *testing.T) {
	netnstest.NeedRoot(t)
	r := New("test", klog.Background())
	all := map[netip.Prefix]struct{}{}
	for _, text := range []string{"198.18.0.0", "2001:db8:9::"} {
		addr := netip.MustParseAddr(text)
		for range 10_000 {
			all[single(addr)] = struct{}{}
			addr = addr.Next()
		}
	}
	expect := func() {
		t.Helper()
		r.Set(maps.Clone(all), time.Now())
		r.Step(time.Now().Add(linger))
		conn, err := nftables.New()
		must(t, err)
		got := map[netip.Prefix]struct{}{}
		for _, l := range []length{{true, 32}, {false, 128}} {
			elements, err := conn.GetSetElements(l.set((&table{name: tablePrefix + "test"}).table()))
			must(t, err)
			for _, e := range elements {
				addr, _ := netip.AddrFromSlice(e.Key)
				got[single(addr)] = struct{}{}
			}
		}
		if !maps.Equal(got, all) {
			t.Errorf("the kernel has %d, want %d", len(got), len(all))
		}
	}
	expect()
	delete(all, netip.MustParsePrefix("198.18.0.7/32"))
	all[netip.MustParsePrefix("198.19.0.7/32")] = struct{}{}
	expect()
	// Somebody has cleared everything.
	conn, err := nftables.New()
	must(t, err)
	conn.FlushRuleset()
	must(t, conn.Flush())
	delete(all, netip.MustParsePrefix("2001:db8:9::7/128"))
	expect()
	r.Set(nil, time.Now())
	r.Step(time.Now().Add(linger))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A packet that is invalid to connection tracking is not translated, although its connection may be
// served: the end of one that the node does not know, or what is outside of a window. Its sender
// would take a RST for the end.
func TestAPacketThatIsInvalidIsNotAnsweredByAReset(t *testing.T) {
	inFamilies(t, func(t *testing.T, n *node) {
		n.announce(single(n.announced))
		var conn net.PacketConn
		n.client.In(func() (err error) {
			conn, err = net.ListenPacket(map[bool]string{true: "ip4:tcp", false: "ip6:tcp"}[n.ipv4], second(n.family.client).String())
			return err
		})
		defer conn.Close()
		const fin, syn, ack = 1, 2, 16
		for i, flags := range []byte{fin | ack, syn} {
			_, err := conn.WriteTo(n.segment(uint16(1001+i), flags), &net.IPAddr{IP: n.announced.AsSlice()})
			must(t, err)
		}
		must(t, conn.SetReadDeadline(time.Now().Add(patience)))
		b := make([]byte, 1024)
		size, _, err := conn.ReadFrom(b)
		must(t, err)
		if port := binary.BigEndian.Uint16(b[2:size]); port != 1002 {
			t.Errorf("the answer is for port %d", port)
		}
	})
}

// segment is one of TCP from a port of the client to one of the announced address.
func (n *node) segment(port uint16, flags byte) []byte {
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment, port)
	binary.BigEndian.PutUint16(segment[2:], 81)
	segment[12], segment[13] = 5<<4, flags
	var sum uint32
	for b := slices.Concat(second(n.family.client).AsSlice(), n.announced.AsSlice(), []byte{0, unix.IPPROTO_TCP, 0, 20}, segment); len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(segment[16:], ^uint16(sum>>16+sum))
	return segment
}
