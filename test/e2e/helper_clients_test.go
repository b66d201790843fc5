package e2e

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// clients use addresses all the time, one on the nodes' LAN and one behind the router. Each opens
// fresh connections, and keeps one long connection busy.
type clients struct {
	*observation
	uses []use
}

// use is how one client uses one address.
type use struct {
	address netip.Addr
	from    *network.Host
	meter   *network.Meter   // the fresh connections
	session *network.Session // the long one
}

// connect has clients use addresses until the test ends.
func (o *observation) connect(addresses []netip.Addr) *clients {
	o.t.Helper()
	c := &clients{observation: o}
	for _, address := range addresses {
		target := netip.AddrPortFrom(address, 80)
		for _, from := range []*network.Host{o.Client, o.FarClient} {
			o.awaitServed(from, target)
			meter := from.Measure(target, network.MeterOptions{Interval: 10 * time.Millisecond, Timeout: 5 * time.Second})
			o.t.Cleanup(func() { meter.Stop() })
			o.awaitSuccess(meter)
			session, err := from.Talk(target)
			if err != nil {
				o.t.Fatal(err)
			}
			o.t.Cleanup(func() { session.Stop() })
			c.uses = append(c.uses, use{address, from, meter, session})
		}
	}
	return c
}

// awaitServed waits until an address is served, as one that is new is only when kube-proxy knows it: until then the node refuses
// connections to it.
func (o *observation) awaitServed(from *network.Host, target netip.AddrPort) {
	o.t.Helper()
	first := from.Measure(target, network.MeterOptions{Interval: 10 * time.Millisecond, Timeout: 5 * time.Second})
	defer first.Stop()
	o.awaitSuccess(first)
}

// lostNothing expects that every fresh connection was answered so far, and that no long connection
// has broken.
func (c *clients) lostNothing() {
	c.t.Helper()
	for _, use := range c.uses {
		c.awaitSuccess(use.meter)
		if report := use.meter.Stop(); report.Failures > 0 {
			c.t.Errorf("from %s to %s: %s", use.from.Name, use.address, report)
		}
		if answers, err := use.session.Stop(); err != nil {
			c.t.Errorf("the connection from %s to %s broke after %d answers: %v", use.from.Name, use.address, answers, err)
		}
	}
}

// answeredThroughout expects that some node has answered every question for each address so far.
func (o *observation) answeredThroughout(addresses []netip.Addr) {
	o.t.Helper()
	for _, address := range addresses {
		if answers := o.settledAnswers(address); answers.Unanswered() != 0 {
			o.t.Errorf("%s was without an answer: %s", address, o.named(answers.String()))
		}
	}
}
