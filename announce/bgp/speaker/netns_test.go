package speaker

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/netnstest"
)

// host is another machine.
type host struct {
	*netnstest.Host
	t testing.TB
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{netnstest.NewHost(t), t}
	// Addresses can be used at once.
	h.In(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0) })
	return h
}

// nft changes the packet filter of the namespace that the thread is in.
func nft(commands string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w\n%s", err, out)
	}
	return nil
}

// cable connects the node to the interface "lan" of a new host, both ends up, and returns the host
// and the name of the node's end.
func cable(t testing.TB) (*host, string) {
	t.Helper()
	h := newHost(t)
	name := h.Cable("lan")
	link, err := netlink.LinkByName(name)
	must(t, err)
	usable := func(addrs []netlink.Addr) bool { return len(addrs) == 1 && addrs[0].Flags&unix.IFA_F_TENTATIVE == 0 }
	// Without it, FRR's BGP gives up on the first session with an IPv6 next hop, for minutes.
	eventually(t, "a link-local address of the router", func() (bool, any) {
		lan, err := h.NL.LinkByName("lan")
		must(t, err)
		addrs, err := h.NL.AddrList(lan, netlink.FAMILY_V6)
		must(t, err)
		return usable(addrs), addrs
	})
	// Daemons on the node name it as a next hop if it is there.
	eventually(t, "a link-local address of the node", func() (bool, any) {
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
		must(t, err)
		return usable(addrs), addrs
	})
	return h, name
}

// give gives an interface of the node an address.
func give(t testing.TB, name, prefix string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.AddrAdd(link, address(t, prefix)))
}

func address(t testing.TB, prefix string) *netlink.Addr {
	t.Helper()
	addr, err := netnstest.ParseAddress(prefix)
	must(t, err)
	return addr
}

// kernel returns the next hops of the routes that the router's kernel got by BGP.
func (h *host) kernel() map[netip.Prefix]string {
	h.t.Helper()
	table := map[netip.Prefix]string{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := h.NL.RouteList(nil, family)
		must(h.t, err)
		for _, r := range routes {
			if !learned(r) {
				continue
			}
			hop := r.Gw.String()
			if r.Via != nil {
				hop = r.Via.(*netlink.Via).Addr.String()
			}
			table[prefixOf(r)] = hop
		}
	}
	return table
}

// changes follows the routes that the kernel has by BGP, until the test ends.
func (h *host) changes() <-chan netlink.RouteUpdate {
	h.t.Helper()
	all, learnt, done := make(chan netlink.RouteUpdate, 1024), make(chan netlink.RouteUpdate, 1024), make(chan struct{})
	must(h.t, netlink.RouteSubscribeWithOptions(all, done, netlink.RouteSubscribeOptions{Namespace: &h.NS, ReceiveBufferSize: 8 << 20, ReceiveBufferForceSize: true}))
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(learnt)
		for u := range all {
			if learned(u.Route) {
				select {
				case learnt <- u:
				case <-done:
				}
			}
		}
	})
	h.t.Cleanup(func() {
		close(done)
		reading.Wait()
	})
	return learnt
}

// learned says whether a kernel has a route from FRR's or BIRD's BGP.
func learned(r netlink.Route) bool {
	return r.Protocol == unix.RTPROT_BGP || r.Protocol == unix.RTPROT_BIRD
}

func prefixOf(r netlink.Route) netip.Prefix {
	addr, _ := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}

// eventually waits until something holds, and says what was seen last if it never does.
func eventually(t testing.TB, what string, holds func() (bool, any)) {
	t.Helper()
	last := any(nil)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ok, seen := holds()
		if ok {
			return
		}
		last = seen
	}
	t.Fatalf("never: %s\nlast seen: %+v", what, last)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
