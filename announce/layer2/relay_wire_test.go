package layer2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/netnstest"
)

// handover is an address that has moved from one node, which is a host, to another, which is the
// node of the tests. Both serve it, each with its own kernel.
type handover struct {
	t       *testing.T
	client  *host
	former  *host
	address netip.Addr
	// formerAddress is the former owner's own.
	formerAddress     netip.Addr
	formerMAC, ownMAC net.HardwareAddr
	ifi               string
	relays            *Relays
}

const servedPort = 80

func newHandover(t *testing.T, family string) *handover {
	addresses := families[family]
	client, names := switched(t, 1)
	links := follow(t)
	settle(t, links, names[0], addresses.own)
	h := &handover{
		t: t, client: client, former: newHost(t), address: addresses.free,
		formerAddress: addresses.own.Next(), ifi: names[0], relays: NewRelays(links),
	}
	must(t, client.NL.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "former", MasterIndex: client.index("br0")},
		PeerName:  "lan", PeerNamespace: netlink.NsFd(h.former.NS),
	}))
	client.Up("former")
	h.former.Up("lan")
	h.former.Address("lan", netip.PrefixFrom(h.formerAddress, map[bool]int{true: 24, false: 64}[addresses.own.Is4()]).String())
	former, err := h.former.NL.LinkByName("lan")
	must(t, err)
	h.formerMAC, h.ownMAC = former.Attrs().HardwareAddr, link(t, h.ifi).Attrs().HardwareAddr
	t.Cleanup(func() {
		if err := h.relays.Set(nil); err != nil {
			t.Error(err)
		}
	})

	alone := netip.PrefixFrom(h.address, h.address.BitLen())
	h.former.Address("lo", alone.String())
	must(t, netlink.AddrAdd(link(t, h.ifi), &netlink.Addr{IPNet: hostNet(h.address), Flags: unix.IFA_F_NODAD}))
	h.former.In(func() error { return h.serve("former") })
	must(t, h.serve("own"))
	return h
}

// serve has connections greeted, and every line that comes over them returned until the client has
// said its last.
func (h *handover) serve(greeting string) error {
	l, err := net.Listen("tcp", netip.AddrPortFrom(h.address, servedPort).String())
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	over := make(chan struct{})
	h.t.Cleanup(func() {
		l.Close()
		close(over)
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				<-over
				conn.Close()
			})
			serving.Go(func() {
				fmt.Fprintln(conn, greeting)
				io.Copy(conn, conn)
				fmt.Fprintln(conn, "bye from "+greeting)
			})
		}
	})
	return nil
}

// relay has the address relayed.
func (h *handover) relay() {
	h.t.Helper()
	must(h.t, h.relays.Set(map[netip.Addr]Relay{h.address: {h.formerAddress, h.ifi}}))
}

// relayed is what the kernel relays, by its table.
func relayed(t *testing.T) map[netip.Addr]netip.Addr {
	t.Helper()
	conn, err := nftables.New()
	must(t, err)
	to := map[netip.Addr]netip.Addr{}
	for _, f := range relayFamilies {
		tables, err := conn.ListTablesOfFamily(f.family)
		must(t, err)
		if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == relayTableName }) {
			continue
		}
		elements, err := conn.GetSetElements(f.began(f.table()))
		must(t, err)
		for _, e := range elements {
			addr, _ := netip.AddrFromSlice(e.Key)
			to[addr], _ = netip.AddrFromSlice(e.Val[:f.size])
		}
	}
	return to
}

// at has the client take the address to be at a hardware address.
func (h *handover) at(mac net.HardwareAddr) {
	h.t.Helper()
	must(h.t, h.client.NL.NeighSet(&netlink.Neigh{
		LinkIndex: h.client.index("br0"), State: netlink.NUD_PERMANENT, IP: h.address.AsSlice(), HardwareAddr: mac,
	}))
}

// conversation is a connection of the client.
type conversation struct {
	t    *testing.T
	conn *net.TCPConn
	in   *bufio.Reader
}

func (h *handover) connect(greeting string) *conversation {
	h.t.Helper()
	c := &conversation{t: h.t}
	h.client.In(func() error {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(h.address, servedPort).String(), patience)
		if err == nil {
			c.conn, c.in = conn.(*net.TCPConn), bufio.NewReader(conn)
		}
		return err
	})
	h.t.Cleanup(func() { c.conn.Close() })
	c.hears(greeting)
	return c
}

func (c *conversation) says(line string) error {
	_, err := fmt.Fprintln(c.conn, line)
	return err
}

func (c *conversation) hears(line string) {
	c.t.Helper()
	got, err := c.in.ReadString('\n')
	if got != line+"\n" {
		c.t.Fatalf("heard %q, %v, want %q", got, err, line)
	}
}

// goesOn expects that what is said is returned, much and little of it, to the last word.
func (c *conversation) goesOn(greeting string) {
	c.t.Helper()
	for _, size := range []int{1, 100, 1 << 20, 2} {
		line := string(bytes.Repeat([]byte{'x'}, size))
		said := make(chan error, 1)
		go func() { said <- c.says(line) }()
		c.hears(line)
		must(c.t, <-said)
	}
	must(c.t, c.conn.CloseWrite())
	c.hears("bye from " + greeting)
}

func TestConnectionsGoOnWhereTheyBegan(t *testing.T) {
	for family := range families {
		t.Run(family, func(t *testing.T) {
			h := newHandover(t, family)
			h.at(h.formerMAC)
			first, second := h.connect("former"), h.connect("former")
			h.relay()
			h.at(h.ownMAC)
			own := h.connect("own")
			first.goesOn("former")
			own.goesOn("own")

			// The next process goes on with it.
			next := NewRelays(follow(t))
			must(t, next.Set(map[netip.Addr]Relay{h.address: {h.formerAddress, h.ifi}}))
			second.goesOn("former")
		})
	}
}

func TestAConnectionThatIsNotRelayedBreaks(t *testing.T) {
	for family := range families {
		t.Run(family, func(t *testing.T) {
			h := newHandover(t, family)
			h.at(h.formerMAC)
			c := h.connect("former")
			h.relay()
			// A process that relays nothing ends what one before it has relayed.
			must(t, NewRelays(follow(t)).Set(nil))
			if left := relayed(t); len(left) > 0 {
				t.Errorf("the kernel still relays %v", left)
			}
			h.at(h.ownMAC)
			must(t, c.says("hello"))
			if _, err := c.in.ReadString('\n'); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("heard %v", err)
			}
		})
	}
}

// Thousands of addresses move when a node is drained that has them: in one step, or in none.
func TestManyAddressesAreRelayedAtOnce(t *testing.T) {
	_, names := switched(t, 1)
	relays := NewRelays(follow(t))
	defer func() { must(t, relays.Set(nil)) }()
	all, want := map[netip.Addr]Relay{}, map[netip.Addr]netip.Addr{}
	for family, addr := range map[string]netip.Addr{"IPv4": netip.MustParseAddr("198.18.0.0"), "IPv6": netip.MustParseAddr("2001:db8:1::")} {
		to := families[family].has
		for range 10_000 {
			all[addr], want[addr] = Relay{to, names[0]}, to
			addr = addr.Next()
		}
	}
	expect := func() {
		t.Helper()
		must(t, relays.Set(all))
		if got := relayed(t); !maps.Equal(got, want) {
			t.Errorf("the kernel relays %d, want %d", len(got), len(want))
		}
	}
	expect()

	gone, moved := netip.MustParseAddr("198.18.0.7"), netip.MustParseAddr("2001:db8:1::7")
	delete(all, gone)
	delete(want, gone)
	want[moved] = families["IPv6"].free
	all[moved] = Relay{want[moved], names[0]}
	expect()

	// Somebody has cleared everything.
	conn, err := nftables.New()
	must(t, err)
	conn.FlushRuleset()
	must(t, conn.Flush())
	delete(all, moved)
	delete(want, moved)
	expect()
}

// Firewalls begin with "flush ruleset" when they are loaded.
func TestWhatSomebodyHasClearedIsPutBack(t *testing.T) {
	_, names := switched(t, 1)
	relays := NewRelays(follow(t))
	defer func() { must(t, relays.Set(nil)) }()
	must(t, relays.Restore())
	if got := relayed(t); len(got) > 0 {
		t.Errorf("nothing was set, and the kernel relays %v", got)
	}
	all, want := map[netip.Addr]Relay{}, map[netip.Addr]netip.Addr{}
	for _, family := range families {
		all[family.free], want[family.free] = Relay{family.has, names[0]}, family.has
	}
	must(t, relays.Set(all))
	for _, clear := range []func(*nftables.Conn){
		func(*nftables.Conn) {},
		(*nftables.Conn).FlushRuleset,
		func(conn *nftables.Conn) {
			conn.DelTable(&nftables.Table{Name: relayTableName, Family: nftables.TableFamilyIPv6})
		},
	} {
		conn, err := nftables.New()
		must(t, err)
		clear(conn)
		must(t, conn.Flush())
		must(t, relays.Restore())
		if got := relayed(t); !maps.Equal(got, want) {
			t.Errorf("the kernel relays %v, want %v", got, want)
		}
	}
}

func TestWithoutThePermissionTheErrorSaysSo(t *testing.T) {
	_, names := switched(t, 1)
	relays := NewRelays(follow(t))
	err := netnstest.InThread(func() error { // on a thread that goes afterwards
		if err := dropNetAdmin(); err != nil {
			return err
		}
		return relays.Set(map[netip.Addr]Relay{families["IPv4"].free: {families["IPv4"].has, names[0]}})
	})
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
	if got := relayed(t); len(got) > 0 {
		t.Errorf("the kernel relays %v", got)
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from this thread.
func dropNetAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	return unix.Capset(&header, &data[0])
}
