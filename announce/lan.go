package announce

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// lan is the network as this node sees it and acts on it.
type lan struct {
	links     links
	responder responder
	prober    prober
	relays    *relays
	rejects   rejects
	dad       *dad
	kernel    kernelCheck
	// announced is what was last announced.
	announced map[netip.Prefix]struct{}
	// contentions are what was done about others that claim addresses of this node.
	contentions contentions
}

func newLAN(with lanParts, logger klog.Logger) lan {
	return lan{
		links:     with.links,
		responder: with.responder,
		prober:    with.prober,
		relays:    &relays{kernel: with.relayer, logger: logger},
		dad:       newDAD(with.prober, with.links, logger),
		rejects:   with.rejects,

		contentions: contentions{},
	}
}

// seesGateway reports whether a default gateway answers on its network.
func (l *lan) seesGateway(ctx context.Context) bool {
	for _, i := range l.links.Interfaces() {
		for _, gateway := range i.Gateways {
			if _, answered, err := l.prober.Ask(ctx, layer2.Question{
				Interface: i.Name, Address: gateway, Tries: 3, Interval: 30 * time.Millisecond,
			}); err == nil && answered {
				return true
			}
		}
	}
	return false
}

// interfacesOf are the links as a plan goes by them.
func interfacesOf(links []layer2.Interface) []plan.Interface {
	var interfaces []plan.Interface
	for _, l := range links {
		i := plan.Interface{Name: l.Name, MAC: l.MAC.String(), Prefixes: l.Prefixes, Down: !l.Up}
		for _, r := range l.Routes {
			i.Routes = append(i.Routes, plan.Route(r))
		}
		interfaces = append(interfaces, i)
	}
	return interfaces
}

// withoutRelaysToCome are the addresses that can be announced before anything else is done: all but new ones with connections that
// began on other nodes, and which the kernel does not relay yet.
func (l *lan) withoutRelaysToCome(todo plan.Layer2Plan) map[netip.Addr][]string {
	addresses := maps.Clone(todo.Layer2)
	for ip, relay := range todo.Relays {
		if _, has := l.announced[netip.PrefixFrom(ip, ip.BitLen())]; !has && l.relays.current[ip] != relay {
			delete(addresses, ip)
		}
	}
	return addresses
}

// prefixesOf are the prefixes that have one of the addresses each.
func prefixesOf(addresses map[netip.Addr][]string) map[netip.Prefix]struct{} {
	prefixes := make(map[netip.Prefix]struct{}, len(addresses))
	for ip := range addresses {
		prefixes[netip.PrefixFrom(ip, ip.BitLen())] = struct{}{}
	}
	return prefixes
}

// proxied leaves out what has no hardware address.
func proxied(planned map[netip.Addr]plan.Proxy) map[netip.Addr]layer2.Proxied {
	out := make(map[netip.Addr]layer2.Proxied, len(planned))
	for ip, p := range planned {
		if mac, err := net.ParseMAC(p.MAC); err == nil {
			out[ip] = layer2.Proxied{Interfaces: p.Interfaces, MAC: mac}
		}
	}
	return out
}

// finishProbe takes the result of a probe.
func (a *Announcer) finishProbe(r probeResult) {
	a.lan.dad.finished(r)
	if c, news := a.planner.ReportProbe(r.address, r.host, r.serving, time.Now()); news {
		a.reportConflict(c)
	}
}
