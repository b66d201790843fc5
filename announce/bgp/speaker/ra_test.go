package speaker

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"k8s.io/klog/v2"
)

func TestOnlyRoutersOnTheLinkCountAsPeers(t *testing.T) {
	near, far := &ipv6.ControlMessage{HopLimit: 255}, &ipv6.ControlMessage{HopLimit: 254}
	for name, tt := range map[string]struct {
		message ndp.Message
		control *ipv6.ControlMessage
		from    string
		found   bool
	}{
		"a router on the link":           {&ndp.RouterAdvertisement{}, near, "fe80::1", true},
		"one behind a router":            {&ndp.RouterAdvertisement{}, far, "fe80::1", false},
		"one of which that is not known": {&ndp.RouterAdvertisement{}, nil, "fe80::1", false},
		"a global address":               {&ndp.RouterAdvertisement{}, near, "2001:db8::1", false},
		"no address":                     {&ndp.RouterAdvertisement{}, near, "::", false},
		"a host that looks for routers":  {&ndp.RouterSolicitation{}, near, "fe80::1", false},
	} {
		s := newRASender("eth0", klog.Logger{})
		s.heard(tt.message, tt.control, netip.MustParseAddr(tt.from))
		if got := s.address(); got.IsValid() != tt.found {
			t.Errorf("%s: the peer is %v", name, got)
		}
	}
}

func TestSolicitationsCauseFewAdvertisements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := newRASender("eth0", klog.Logger{}), netip.MustParseAddr("fe80::1")
		answers := 0
		for range 6000 { // in half a minute
			if s.heard(&ndp.RouterSolicitation{}, &ipv6.ControlMessage{HopLimit: 255}, from) {
				answers++
			}
			if s.heard(&ndp.RouterSolicitation{}, &ipv6.ControlMessage{HopLimit: 64}, from) {
				t.Error("one from behind a router is answered")
			}
			time.Sleep(5 * time.Millisecond)
		}
		if answers == 0 || answers > 13 {
			t.Errorf("%d answers", answers)
		}
	})
}
