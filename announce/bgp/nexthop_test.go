package bgp

import (
	"net/netip"
	"strings"
	"testing"
)

// local reads addresses, each "prefix interface flags", where the interface is its index.
func local(t *testing.T, texts ...string) []LocalAddress {
	t.Helper()
	var out []LocalAddress
	for _, text := range texts {
		words := strings.Fields(text)
		prefix := netip.MustParsePrefix(words[0])
		a := LocalAddress{Addr: prefix.Addr(), Network: prefix.Masked(), Interface: int(words[1][0] - '0')}
		for _, word := range words[2:] {
			switch word {
			case "tentative":
				a.Tentative = true
			case "deprecated":
				a.Deprecated = true
			case "temporary":
				a.Temporary = true
			case "service":
				a.Service = true
			default: // the other end of a point-to-point link
				a.Network = netip.MustParsePrefix(word)
			}
		}
		out = append(out, a)
	}
	return out
}

func parse(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

func TestTheNextHopIsAnAddressThatTheRouterCanReach(t *testing.T) {
	const eth0, eth1, lo = " 2", " 3", " 1"
	lan := []string{"10.0.0.11/24" + eth0, "fd00::11/64" + eth0}
	with := func(more ...string) []string { return append(lan[:len(lan):len(lan)], more...) }
	for _, c := range []struct {
		name      string
		addresses []string
		internal  []string
		gateways  []string
		router    string
		local     string // of the session
		extended  bool
		before    string
		v4, v6    string // "" is none
	}{
		{name: "both families on one interface", addresses: lan, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "a session over IPv6", addresses: lan, router: "fd00::1", local: "fd00::11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "a session over IPv6 with a router that takes it for IPv4", addresses: lan, router: "fd00::1", local: "fd00::11", extended: true,
			v4: "fd00::11", v6: "fd00::11"},
		{name: "a host prefix beside the LAN's", addresses: append([]string{"2001:db8:eeee::5/128" + eth0, "10.255.0.5/32" + eth0}, lan...),
			router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "a host prefix alone", addresses: []string{"10.0.0.11/24" + eth0, "2001:db8:eeee::5/128" + eth0}, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11"},
		{name: "a host prefix by which the cluster knows the node, as DHCPv6 gives it", addresses: []string{"10.0.0.11/24" + eth0, "2001:db8::5/128" + eth0},
			internal: []string{"10.0.0.11", "2001:db8::5"}, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "2001:db8::5"},
		{name: "a loopback address that the session comes from", addresses: with("10.255.0.5/32" + lo), router: "10.9.9.9", local: "10.255.0.5",
			v4: "10.255.0.5", v6: "fd00::11"},
		{name: "the network of the router comes before the source of the session", addresses: with("10.255.0.5/32" + lo), router: "10.0.0.1", local: "10.255.0.5",
			v4: "10.0.0.11", v6: "fd00::11"},
		{name: "of several in the network of the router that of the session", addresses: with("10.0.0.5/24"+eth0, "10.0.0.111/24"+eth0),
			internal: []string{"10.0.0.11"}, router: "10.0.0.1", local: "10.0.0.111", v4: "10.0.0.111", v6: "fd00::11"},
		{name: "a point-to-point link", addresses: []string{"10.1.0.2/32" + eth0 + " 10.1.0.1/32"}, router: "10.1.0.1", local: "10.1.0.2", v4: "10.1.0.2"},
		{name: "the InternalIP before others of the interface", addresses: with("2001:db8:1::5/64" + eth0), internal: []string{"10.0.0.11", "2001:db8:1::5"},
			router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "2001:db8:1::5"},
		{name: "others of the interface before an InternalIP elsewhere", addresses: with("2001:db8:1::5/64" + eth1), internal: []string{"2001:db8:1::5"},
			router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "an InternalIP elsewhere before none", addresses: []string{"10.0.0.11/24" + eth0, "2001:db8:1::5/64" + eth1}, internal: []string{"2001:db8:1::5"},
			router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "2001:db8:1::5"},
		{name: "an address elsewhere", addresses: []string{"10.0.0.11/24" + eth0, "2001:db8:1::5/64" + eth1}, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11"},
		{name: "the router is a default gateway, which has an address of the other family", addresses: with("2001:db8:1::5/64" + eth0),
			internal: []string{"10.0.0.11", "fd00::11"}, gateways: []string{"10.0.0.1", "2001:db8:1::1"}, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "2001:db8:1::5"},
		{name: "another router is the default gateway", addresses: with("2001:db8:1::5/64" + eth0),
			internal: []string{"10.0.0.11", "fd00::11"}, gateways: []string{"10.0.0.2", "2001:db8:1::2"}, router: "10.0.0.1", local: "10.0.0.11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "a router behind others", addresses: lan, router: "10.9.9.9", local: "10.0.0.11", v4: "10.0.0.11", v6: "fd00::11"},
		{name: "what cannot be used", addresses: []string{"10.0.0.11/24" + eth0 + " deprecated", "fd00::11/64" + eth0 + " tentative"}, router: "10.0.0.1", local: "10.0.0.11"},
		{name: "what changes all the time", addresses: []string{"fd00::5/64" + eth0 + " temporary", "fd00::11/64" + eth0}, router: "fd00::1", local: "fd00::5", v6: "fd00::11"},
		{name: "the address of a Service", addresses: []string{"10.0.0.5/24" + eth0 + " service", "10.0.0.11/24" + eth0, "fd00::5/64" + eth0 + " service"},
			router: "10.0.0.1", local: "10.0.0.5", v4: "10.0.0.11"},
		{name: "link-local addresses", addresses: []string{"169.254.0.5/16" + eth0, "fe80::5/64" + eth0}, router: "10.0.0.1"},
		{name: "a link-local IPv4 address that the session comes from", addresses: []string{"169.254.0.5/30" + eth0, "fe80::5/64" + eth0},
			router: "169.254.0.6", local: "169.254.0.5", v4: "169.254.0.5"},
		{name: "an unnumbered session", addresses: with("fe80::5/64" + eth0), router: "fe80::1%eth0", local: "fe80::5", extended: true, v4: "fe80::5", v6: "fe80::5"},
		{name: "an unnumbered session with a router that takes IPv4 next hops alone", addresses: with("fe80::5/64" + eth0), router: "fe80::1%eth0", local: "fe80::5",
			v4: "10.0.0.11", v6: "fe80::5"},
		{name: "a daemon on the node", addresses: lan, router: "127.0.0.1", local: "127.0.0.1", v4: "127.0.0.1", v6: "::1"},
		{name: "the one from before stays", addresses: with("fd00:1::5/64"+eth0, "10.0.0.5/24"+eth0), router: "10.0.0.1", before: "fd00:1::5", v4: "10.0.0.5", v6: "fd00:1::5"},
		{name: "the one from before stays, if it is as good", addresses: with("fd00:1::5/64" + eth0), internal: []string{"fd00::11"}, router: "10.0.0.1", before: "fd00:1::5",
			v4: "10.0.0.11", v6: "fd00::11"},
		{name: "no address", router: "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Host{Addresses: local(t, c.addresses...)}
			for _, text := range c.internal {
				h.Internal = append(h.Internal, parse(text))
			}
			for _, text := range c.gateways {
				h.Gateways = append(h.Gateways, parse(text))
			}
			to := Path{Router: parse(c.router), Local: parse(c.local), Interface: 2, Extended: c.extended}
			if got := h.NextHop(IPv4, to, parse(c.before)); got != parse(c.v4) {
				t.Errorf("IPv4: %s, want %q", got, c.v4)
			}
			if got := h.NextHop(IPv6, to, parse(c.before)); got != parse(c.v6) {
				t.Errorf("IPv6: %s, want %q", got, c.v6)
			}
		})
	}
}

func TestHostsAreEqualIfNothingDiffersThatNextHopsDependOn(t *testing.T) {
	host := func() Host {
		return Host{Addresses: local(t, "10.0.0.11/24 2"), Internal: []netip.Addr{parse("10.0.0.11")}, Gateways: []netip.Addr{parse("10.0.0.1")}, RouteChanges: 1}
	}
	if !host().Equal(host()) {
		t.Error("a host does not equal itself")
	}
	for what, change := range map[string]func(*Host){
		"an address that is deprecated": func(h *Host) { h.Addresses[0].Deprecated = true },
		"another InternalIP":            func(h *Host) { h.Internal = []netip.Addr{parse("10.0.0.12")} },
		"no default route":              func(h *Host) { h.Gateways = nil },
		"a route that changed":          func(h *Host) { h.RouteChanges++ },
	} {
		other := host()
		change(&other)
		if host().Equal(other) || other.Equal(host()) {
			t.Errorf("equal in spite of %s", what)
		}
	}
}
