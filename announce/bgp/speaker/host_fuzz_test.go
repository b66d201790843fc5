package speaker

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Whatever addresses the kernel lists, nothing breaks, and what is taken of them is valid.
func FuzzLocalAddress(f *testing.F) {
	f.Add([]byte{192, 0, 2, 7}, []byte{255, 255, 255, 0}, []byte(nil), uint32(0))
	f.Add([]byte{192, 0, 2, 7}, []byte{255, 255, 255, 255}, []byte{198, 51, 100, 1}, uint32(0))
	f.Add([]byte(netip.MustParseAddr("2001:db8::7").AsSlice()), []byte(net.CIDRMask(64, 128)), []byte(nil), uint32(unix.IFA_F_TEMPORARY))
	f.Add([]byte(netip.MustParseAddr("::ffff:192.0.2.7").AsSlice()), []byte(net.CIDRMask(128, 128)), []byte(nil), uint32(0))
	f.Fuzz(func(t *testing.T, ip, mask, peer []byte, flags uint32) {
		a := netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: mask}, LinkIndex: 2, Flags: int(flags)}
		if len(peer) > 0 {
			a.Peer = &net.IPNet{IP: peer, Mask: mask}
		}
		if local, ok := localAddress(a); ok != local.Addr.IsValid() || local.Addr.Is4In6() || local.Temporary && local.Addr.Is4() {
			t.Errorf("of %+v comes %+v, %v", a, local, ok)
		}
	})
}
