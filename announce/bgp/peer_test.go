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

func TestWhatAPeerLeavesOutHasDefaults(t *testing.T) {
	for _, c := range []struct {
		name                     string
		peer                     Peer
		hold, keepalive, connect time.Duration
		families                 Families
	}{
		{"nothing given", Peer{}, 90 * time.Second, 30 * time.Second, 5 * time.Second, IPv4 | IPv6},
		{"a hold time", Peer{HoldTime: 10 * time.Second}, 10 * time.Second, 3 * time.Second, 5 * time.Second, IPv4 | IPv6},
		{"the least hold time", Peer{HoldTime: 3 * time.Second}, 3 * time.Second, time.Second, 5 * time.Second, IPv4 | IPv6},
		{"everything", Peer{HoldTime: 9 * time.Second, KeepaliveTime: 2 * time.Second, ConnectTime: 7 * time.Second, Families: IPv6},
			9 * time.Second, 2 * time.Second, 7 * time.Second, IPv6},
	} {
		if got := c.peer.EffectiveHoldTime(); got != c.hold {
			t.Errorf("%s: a hold time of %s, want %s", c.name, got, c.hold)
		}
		if got := c.peer.EffectiveKeepaliveTime(); got != c.keepalive {
			t.Errorf("%s: a keepalive time of %s, want %s", c.name, got, c.keepalive)
		}
		if got := c.peer.EffectiveConnectTime(); got != c.connect {
			t.Errorf("%s: a connect time of %s, want %s", c.name, got, c.connect)
		}
		if got := c.peer.OfferedFamilies(); got != c.families {
			t.Errorf("%s: families %s, want %s", c.name, got, c.families)
		}
	}
}

func TestFamiliesAreNamed(t *testing.T) {
	for families, want := range map[Families]string{IPv4: "IPv4", IPv6: "IPv6", IPv4 | IPv6: "IPv4 and IPv6", 0: "no"} {
		if got := families.String(); got != want {
			t.Errorf("%d is %q, want %q", families, got, want)
		}
	}
	for prefix, want := range map[string]Families{"192.0.2.0/24": IPv4, "2001:db8::/32": IPv6} {
		if got := FamilyOf(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s is %s", prefix, got)
		}
	}
}

// changesOfAPeer are what may be edited of it: whether the router takes the next session for another one of the same node, and whether
// a session that is up is as good as one with the change.
var changesOfAPeer = []struct {
	name              string
	change            func(*Peer)
	continues, serves bool
}{
	{"nothing", func(*Peer) {}, true, true},
	{"the address", func(p *Peer) { p.Address = netip.MustParseAddr("192.0.2.9") }, false, false},
	{"the interface", func(p *Peer) { p.Interface = "eth1" }, false, false},
	{"the source", func(p *Peer) { p.Source = netip.MustParseAddr("192.0.2.7") }, false, false},
	{"the autonomous system of this node", func(p *Peer) { p.LocalASN++ }, false, false},
	{"the autonomous system of the router", func(p *Peer) { p.PeerASN++ }, false, false},
	{"the router ID", func(p *Peer) { p.RouterID = netip.MustParseAddr("192.0.2.8") }, false, false},
	{"the password", func(p *Peer) { p.Password = "secret" }, true, false},
	{"the hold time", func(p *Peer) { p.HoldTime = 30 * time.Second }, true, false},
	{"the hold time, which becomes its default", func(p *Peer) { p.HoldTime = 90 * time.Second }, true, true},
	{"the families", func(p *Peer) { p.Families = IPv4 }, true, false},
	{"the families, which become their default", func(p *Peer) { p.Families = IPv4 | IPv6 }, true, true},
	{"the keepalive time", func(p *Peer) { p.KeepaliveTime = time.Second }, true, true},
	{"the connect time", func(p *Peer) { p.ConnectTime = 8 * time.Second }, true, true},
	{"the limit of prefixes", func(p *Peer) { p.MaxPrefixes = 10 }, true, true},
	{"any autonomous system of the router", func(p *Peer) { p.PeerASN = 0 }, false, true},
}

func TestAnEditEndsASessionOnlyIfItMust(t *testing.T) {
	before := Peer{Address: netip.MustParseAddr("192.0.2.1"), LocalASN: 65000, PeerASN: 65001, RouterID: netip.MustParseAddr("192.0.2.2")}
	for _, c := range changesOfAPeer {
		after := before
		c.change(&after)
		if got := after.Continues(before); got != c.continues {
			t.Errorf("%s: continues is %t, want %t", c.name, got, c.continues)
		}
		if got := after.ServedBy(before, before.PeerASN); got != c.serves {
			t.Errorf("%s: served by the session before is %t, want %t", c.name, got, c.serves)
		}
	}
}

func TestASessionServesWhoeverTakesTheAutonomousSystemThatTheRouterIsIn(t *testing.T) {
	peer := func(asn uint32) Peer { return Peer{LocalASN: 65000, PeerASN: asn} }
	for _, c := range []struct {
		name          string
		before, after Peer
		in            uint32 // what the router said
		want          bool
	}{
		{"any, and now the one that it is in", peer(0), peer(65001), 65001, true},
		{"any, and now another one", peer(0), peer(65002), 65001, false},
		{"the one that it is in, and now any", peer(65001), peer(0), 65001, true},
		{"an internal one, and now any external one", peer(65000), peer(0), 65000, false},
	} {
		if got := c.after.ServedBy(c.before, c.in); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	if p := peer(65000); !p.Internal() {
		t.Error("a session within an autonomous system is not internal")
	}
	if p := peer(65001); p.Internal() {
		t.Error("a session between autonomous systems is internal")
	}
}

func TestAPeerWithoutAnAddressIsFoundFirst(t *testing.T) {
	if p := (Peer{Interface: "eth0"}); !p.Unnumbered() {
		t.Error("a peer without an address is not unnumbered")
	}
	if p := (Peer{Interface: "eth0", Address: netip.MustParseAddr("fe80::1%eth0")}); p.Unnumbered() {
		t.Error("a peer with an address is unnumbered")
	}
}
