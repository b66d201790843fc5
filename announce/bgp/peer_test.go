package bgp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPeersThatCannotBeHonouredSayWhy(t *testing.T) {
	sound := Peer{Address: netip.MustParseAddr("192.0.2.1"), LocalASN: 65000, PeerASN: 65001, RouterID: netip.MustParseAddr("192.0.2.2")}
	for _, c := range []struct {
		name   string
		change func(*Peer)
		want   string // part of the error; empty is none
	}{
		{"sound", func(*Peer) {}, ""},
		{"everything", func(p *Peer) {
			p.HoldTime, p.KeepaliveTime, p.ConnectTime, p.RestartTime = 3*time.Second, time.Second, 2*time.Second, 4095*time.Second
			p.MultihopTTL, p.Password, p.Families = 255, strings.Repeat("x", 80), IPv4|IPv6
		}, ""},
		{"unnumbered", func(p *Peer) { p.Address, p.Interface = netip.Addr{}, "eth0" }, ""},
		{"no address", func(p *Peer) { p.Address = netip.Addr{} }, "neither an address nor an interface"},
		{"an unspecified address", func(p *Peer) { p.Address = netip.IPv6Unspecified() }, "not the address of a router"},
		{"a link-local address", func(p *Peer) { p.Address = netip.MustParseAddr("fe80::1") }, "needs an interface"},
		{"a link-local address with a zone", func(p *Peer) { p.Address = netip.MustParseAddr("fe80::1%eth0") }, ""},
		{"a source of another family", func(p *Peer) { p.Source = netip.MustParseAddr("2001:db8::1") }, "not of the family"},
		{"unnumbered with a source", func(p *Peer) {
			p.Address, p.Interface, p.Source = netip.Addr{}, "eth0", netip.MustParseAddr("2001:db8::1")
		}, "not from another source"},
		{"no autonomous system", func(p *Peer) { p.LocalASN = 0 }, "no autonomous system"},
		{"no router ID", func(p *Peer) { p.RouterID = netip.Addr{} }, "router ID"},
		{"an IPv6 router ID", func(p *Peer) { p.RouterID = netip.MustParseAddr("2001:db8::1") }, "router ID"},
		{"a zero router ID", func(p *Peer) { p.RouterID = netip.IPv4Unspecified() }, "router ID"},
		{"other families", func(p *Peer) { p.Families = 4 }, "unknown families"},
		{"a long password", func(p *Peer) { p.Password = strings.Repeat("x", 81) }, "81 bytes"},
		{"both kinds of TTL", func(p *Peer) { p.MultihopTTL, p.SecurityHops = 2, 1 }, "exclude each other"},
		{"a short hold time", func(p *Peer) { p.HoldTime = 2 * time.Second }, "a hold time of 2s"},
		{"a broken hold time", func(p *Peer) { p.HoldTime = 3500 * time.Millisecond }, "whole seconds"},
		{"a keepalive time above the hold time", func(p *Peer) { p.HoldTime, p.KeepaliveTime = 3*time.Second, 4*time.Second }, "a keepalive time of 4s"},
		{"a short connect time", func(p *Peer) { p.ConnectTime = time.Second }, "a connect time of 1s"},
		{"a long restart time", func(p *Peer) { p.RestartTime = 4096 * time.Second }, "a restart time of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sound
			c.change(&p)
			err := p.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && p.Password != "" && strings.Contains(err.Error(), p.Password) {
				t.Errorf("the password is told: %v", err)
			}
		})
	}
}
