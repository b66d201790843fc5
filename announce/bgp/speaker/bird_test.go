package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/netnstest"
	"github.com/clarionlb/clarion/internal/routertest"
)

// bird is BIRD.
type bird struct {
	*routertest.BIRD
	t testing.TB
}

// bird starts it on the host with this configuration, so that the kernel gets the routes.
func (h *host) bird(config string) *bird {
	h.t.Helper()
	return h.birdAlone("protocol kernel { ipv4 { export all; }; }\nprotocol kernel { ipv6 { export all; }; }\n" + config)
}

// birdAlone starts it on the host with this configuration.
func (h *host) birdAlone(config string) *bird {
	h.t.Helper()
	r, err := routertest.NewBIRD(routertest.On(h.Host), h.t.TempDir(), "protocol device { }\n"+config)
	must(h.t, err)
	runRouter(h.t, r)
	return &bird{r, h.t}
}

// shows waits until what "show" and a command say has these words.
func (b *bird) shows(command string, words ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%s: %q", command, words), func() (bool, any) {
		out, err := b.Show(b.t.Context(), command)
		for _, w := range words {
			if err != nil || !strings.Contains(out, w) {
				return false, out
			}
		}
		return true, nil
	})
}

// birdRouter is a router like newRouter's, with BIRD.
func birdRouter(t testing.TB, config string) (*router, *bird) {
	t.Helper()
	r := newSite(t)
	return r, r.bird(r.name("router id ROUTER;\n" + config))
}

const birdChannels = " ipv4 { import all; export none; }; ipv6 { import all; export none; }; "

func TestBIRDGetsRoutesWithTheirAttributes(t *testing.T) {
	t.Parallel()
	r, b := birdRouter(t, "protocol bgp node { local ROUTER as 65001; neighbor NODE as 65000; hold time 3; password \"secret\"; ttl security yes; "+birdChannels+"}")
	s := newSpeaker(t, false)
	run(t, s)
	p := r.peer()
	p.Password, p.SecurityHops = "secret", 1
	a := &bgp.Attributes{MED: ptr(uint32(42)), Communities: []uint32{65000<<16 | 7}, LargeCommunities: []bgp.LargeCommunity{{Global: 65000, Local1: 1, Local2: 2}}, Prepend: 1}
	s.Set(alone(p), say(routes(a, "198.51.100.1/32", "2001:db8:ff::1/128")))
	b.shows("route all 198.51.100.1/32", "BGP.as_path: 65000 65000", "BGP.med: 42", "BGP.community: (65000,7)", "BGP.large_community: (65000, 1, 2)", r.name("BGP.next_hop: NODE"))
	b.shows("route all 2001:db8:ff::1/128", "BGP.as_path: 65000 65000", r.name("BGP.next_hop: NODE6"))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	s.Set(alone(p), say(routes(a, "198.51.100.1/32")))
	r.has(map[string]string{"198.51.100.1/32": "NODE"})
}

func TestBIRDGetsIPv4RoutesOverIPv6(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ option, hop string }{
		"with an IPv6 next hop": {"extended next hop on; ", "NODE6"},
		"with an IPv4 next hop": {"", "NODE"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := birdRouter(t, "protocol bgp node { local ROUTER6 as 65001; neighbor NODE6 as 65000; hold time 3; "+
				"ipv4 { import all; export none; "+c.option+"}; ipv6 { import all; export none; }; }")
			s := newSpeaker(t, false)
			run(t, s)
			s.Set(alone(r.peer6()), say(both))
			r.has(map[string]string{"198.51.100.1/32": c.hop, "2001:db8:ff::1/128": "NODE6"})
		})
	}
}

func TestBIRDKeepsRoutesOverARestart(t *testing.T) {
	t.Parallel()
	r, b := birdRouter(t, "protocol bgp node { local ROUTER as 65001; neighbor NODE as 65000; hold time 3; graceful restart on; "+birdChannels+"}")
	s := newSpeaker(t, false)
	stop := run(t, s)
	s.Set(alone(r.graceful()), say(both))
	want := map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"}
	r.has(want)
	losses := r.losses()
	stop()
	b.shows("protocols all node", "Neighbor graceful restart active")
	s = newSpeaker(t, true)
	run(t, s)
	s.Set(alone(r.graceful()), say(both))
	b.shows("protocols all node", "Established")
	established(t, s, "tor")
	r.has(want)
	losses.none(t)
}

// A node whose network already speaks BGP with the router has no second session to give. What
// speaks there takes the routes over from a session on the node itself, and passes them on.
func TestADaemonOnTheNodeItselfPassesRoutesOn(t *testing.T) {
	r := newRouter(t, plain()...)
	self := &host{netnstest.Node(t), t}
	const local = "127.0.0.1"
	self.birdAlone(r.name(`router id 192.0.2.9;
protocol bgp announcer {
	local ` + local + ` as 65000;
	neighbor ` + local + ` as 65000;
	passive; multihop; hold time 3;
	ipv4 { import all; export none; }; ipv6 { import all; export none; };
}
protocol bgp tor {
	local NODE as 65000;
	neighbor ROUTER as 65001;
	hold time 3;
	ipv4 { import none; export all; next hop self; }; ipv6 { import none; export all; next hop self; };
}
`))
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(bgp.Peer{
		Address:  netip.MustParseAddr(local),
		LocalASN: 65000, PeerASN: 65000, RouterID: netip.MustParseAddr("192.0.2.10"), HoldTime: calmHoldTime, ConnectTime: bgp.MinConnectTime,
	}), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": r.link.String()})
}
