package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/internal/netnstest"
)

// host is another machine.
type host struct {
	*netnstest.Host
	t testing.TB
}

func newHost(t testing.TB) *host {
	t.Helper()
	return &host{netnstest.NewHost(t), t}
}

// neighbour waits until the host has addr in its neighbour table with that hardware address.
func (h *host) neighbour(addr netip.Addr, mac net.HardwareAddr) {
	h.t.Helper()
	h.neighbourIn(addr, mac, netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE)
}

// neighbourIn is neighbour for an entry that is in one of some states.
func (h *host) neighbourIn(addr netip.Addr, mac net.HardwareAddr, states int) {
	h.t.Helper()
	updates, done := make(chan netlink.NeighUpdate), make(chan struct{})
	must(h.t, netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{Namespace: &h.NS, ListExisting: true}))
	defer func() {
		close(done)
		for range updates {
		}
	}()
	timeout := time.After(patience)
	var last netlink.Neigh
	for {
		select {
		case u := <-updates:
			if u.IP.Equal(addr.AsSlice()) {
				last = u.Neigh
			}
			if u.IP.Equal(addr.AsSlice()) && slices.Equal(u.HardwareAddr, mac) && u.State&states != 0 {
				return
			}
		case <-timeout:
			h.t.Fatalf("neighbour %v: want %v, have %+v", addr, mac, last)
		}
	}
}

// finds waits until the host, which has something to send to addr, finds it at that hardware address.
func (h *host) finds(addr netip.Addr, mac net.HardwareAddr) {
	h.t.Helper()
	defer h.visits(addr)()
	h.neighbour(addr, mac)
}

// visits has the host's kernel send something to addr again and again until stopped.
func (h *host) visits(addr netip.Addr) (stop func()) {
	return repeatedly(func() {
		_ = h.Try(func() error { // it may be too early
			c, err := net.Dial("udp", netip.AddrPortFrom(addr, 9).String())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("hello"))
			return err
		})
	})
}

// switched is a host with an interface br0 that n cables of the node lead to, and the names of
// their ends at the node.
func switched(t *testing.T, n int) (*host, []string) {
	t.Helper()
	h := newHost(t)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, h.NL.LinkAdd(bridge))
	h.Up("br0")
	var names []string
	for i := range n {
		peer := string(rune('a' + i))
		names = append(names, cable(t, h, peer))
		port, err := h.NL.LinkByName(peer)
		must(t, err)
		must(t, h.NL.LinkSetMaster(port, bridge))
	}
	h.Address("br0", "192.0.2.1/24")
	h.Address("br0", "2001:db8::1/64")
	return h, names
}

// hostNet is the network that has only addr.
func hostNet(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

func (h *host) index(name string) int {
	h.t.Helper()
	l, err := h.NL.LinkByName(name)
	must(h.t, err)
	return l.Attrs().Index
}
