package speaker

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/internal/routertest"
)

// guided are the kinds of routers of which the guide has a configuration that can be run.
var guided = map[string]func(on routertest.Machine, log, config string) (routertest.Router, error){
	"FRR": func(on routertest.Machine, log, config string) (routertest.Router, error) {
		return routertest.NewFRR(on, log, strings.Split(config, "\n")...)
	},
	"BIRD": func(on routertest.Machine, log, config string) (routertest.Router, error) {
		return routertest.NewBIRD(on, log, config)
	},
	"OpenBGPD": func(on routertest.Machine, log, config string) (routertest.Router, error) {
		return routertest.NewOpenBGPD(on, log, config)
	},
}

// configurationOf is the first block below the heading of a kind in the guide.
func configurationOf(t *testing.T, kind string) string {
	t.Helper()
	guide, err := os.ReadFile("../../../docs/guides/bgp-routers.md")
	must(t, err)
	_, below, _ := strings.Cut(string(guide), "\n## "+kind+"\n")
	_, block, _ := strings.Cut(below, "\n```\n")
	block, _, there := strings.Cut(block, "\n```\n")
	if !there {
		t.Fatalf("the guide has no configuration of %s", kind)
	}
	return block + "\n"
}

// TestTheConfigurationsOfTheGuideWork runs them as they are, but for the addresses of the network. It needs root and the routers.
func TestTheConfigurationsOfTheGuideWork(t *testing.T) {
	for _, kind := range routertest.Kinds {
		start := guided[kind.Name]
		if start == nil {
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			with := func(on routertest.Machine, log string, config routertest.Config) (routertest.Router, error) {
				network := netip.PrefixFrom(config.RouterID, 24).Masked()
				return start(on, log, strings.NewReplacer("10.0.0.0/24", network.String(), "10.0.0.1", config.RouterID.String()).Replace(configurationOf(t, kind.Name)))
			}
			guide := kind
			guide.New = with
			r := newAnyRouter(t, guide, func(r *anyRouter) {
				r.peer.LocalASN, r.peer.PeerASN = 65001, 65000
			})
			s, _ := r.speaks(routes(nil, "198.51.100.1/32", "2001:db8:ff::1/128", "203.0.113.1/32", "198.51.100.0/25", "2001:db8:fe::1/128"))
			r.receives(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
			for _, other := range []string{"203.0.113.1/32", "198.51.100.0/25", "2001:db8:fe::1/128"} {
				if route, has, err := r.route(other); has {
					t.Errorf("it has a route to %s, which is no Service's: %+v, %v", other, route, err)
				}
			}
			eventually(t, "what the router says of itself", func() (bool, any) {
				p := status(s, "tor")
				return p.PeerASN == 65000 && p.PeerID == r.v4, fmt.Sprintf("%+v", p)
			})
			keptUp(t, s)
		})
	}
}
