package main

import (
	"errors"
	"net/netip"
	"testing"
)

func TestPodAddressesRestBeforeTheyAreUsedAgain(t *testing.T) {
	n := newNetwork(nil, "test", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("fd00::/64")})
	take := func(wished ...netip.Addr) string {
		t.Helper()
		ips, err := n.allocate(wished)
		if err != nil {
			t.Fatal(err)
		}
		return join(ips)
	}
	if got := take(); got != "10.0.0.2,fd00::2" {
		t.Errorf("first pod got %s", got)
	}
	n.release([]netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")})
	if got := take(); got != "10.0.0.3,fd00::3" {
		t.Errorf("the pod after one that is gone got %s", got)
	}
	if got := take(netip.MustParseAddr("fd00::99"), netip.MustParseAddr("10.0.0.5")); got != "10.0.0.5,fd00::99" {
		t.Errorf("a pod that had addresses got %s", got)
	}
	if got := take(netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.9.9.9")); got != "10.0.0.4,fd00::4" {
		t.Errorf("a pod that wished for addresses in use or of others got %s", got)
	}
	take() // .6, the last before the broadcast address
	if got := take(); got != "10.0.0.2,fd00::6" {
		t.Errorf("after the end of the prefix came %s", got)
	}
	if _, err := n.allocate(nil); !errors.Is(err, errNoAddress) {
		t.Errorf("full prefix: %v", err)
	}
	n.release([]netip.Addr{netip.MustParseAddr("10.0.0.6")})
	if got := take(); got != "10.0.0.6,fd00::8" && got != "10.0.0.6,fd00::7" {
		t.Errorf("once an address was free again came %s", got)
	}
}
