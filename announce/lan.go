package announce

import (
	"context"
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
	// defended has when an address was last announced because another host had.
	defended map[netip.Addr]time.Time
}

func newLAN(with lanParts, logger klog.Logger) lan {
	return lan{
		links:     with.links,
		responder: with.responder,
		prober:    with.prober,
		relays:    &relays{kernel: with.relayer, logger: logger},
		dad:       newDAD(with.prober, with.links, logger),
		rejects:   with.rejects,
		defended:  map[netip.Addr]time.Time{},
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
	if c, news := a.planner.ReportProbe(r.address, r.host, time.Now()); news {
		a.reportConflict(c)
	}
}

// defendInterval is the shortest time between two announcements that defend it against another
// host: DEFEND_INTERVAL of RFC 5227, section 1.1.
const defendInterval = 10 * time.Second

// observeSighting takes note of somebody else who answers for an address of this node: an
// announcer, which may be the one that is to have it next, or another host, against which the
// address is defended (RFC 5227, section 2.4).
func (a *Announcer) observeSighting(s layer2.Sighting) {
	now := time.Now()
	if node := a.others.macs[s.MAC.String()]; node != "" {
		a.metrics.conflicts.WithLabelValues("member").Inc()
		a.planner.ObserveAnnouncement(s.Address, node, now)
		if claim, holds := a.planner.ClaimOn(s.Address); holds && now.Sub(a.lan.defended[s.Address]) >= time.Second {
			a.lan.defended[s.Address] = now
			a.tell(node, message{Claims: []plan.Takeover{claim}})
		}
		return
	}
	a.metrics.conflicts.WithLabelValues("host").Inc()
	if c, news := a.planner.ObserveConflict(s.Address, plan.ConflictingHost{Interface: s.Interface, MAC: s.MAC.String()}, now); news {
		a.reportConflict(c)
	}
	if now.Sub(a.lan.defended[s.Address]) >= defendInterval {
		a.lan.defended[s.Address] = now
		a.lan.responder.Reannounce(s.Address)
	}
}
