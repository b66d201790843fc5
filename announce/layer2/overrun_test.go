package layer2

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// While Links cannot read, the kernel has more to report than it keeps, the last change among it.
func TestLinksReadsEverythingAgainWhenReportsWereLost(t *testing.T) {
	l := follow(t)
	name := cable(t, newHost(t), "peer")
	await(t, l, name, "up", func(i Interface, ok bool) bool { return ok && i.Up })
	address, err := netlink.ParseAddr("198.51.100.7/24")
	must(t, err)
	node, mac := link(t, name), []byte{2, 0, 0, 0, 0, 9}

	l.mu.Lock() // whatever it reads, it cannot publish
	for range 6000 {
		must(t, netlink.AddrAdd(node, address))
		must(t, netlink.AddrDel(node, address))
	}
	must(t, netlink.LinkSetHardwareAddr(node, mac))
	l.mu.Unlock()
	await(t, l, name, "its new MAC", func(i Interface, _ bool) bool { return slices.Equal(i.MAC, mac) })
}
