package announce

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

// dad is duplicate address detection: it asks the network whether another host has addresses that
// are about to be announced for the first time, in the spirit of RFC 5227, section 2.1, and RFC
// 4862, section 5.4, but in half a second. Its methods are for one goroutine.
type dad struct {
	prober  liveness.Prober
	links   links
	logger  klog.Logger
	results chan probeResult

	running sync.WaitGroup
	// cancel ends the probes that are under way, by address.
	cancel map[netip.Addr]context.CancelFunc
}

// probeResult is who has an address; the zero host if nobody answered.
type probeResult struct {
	address netip.Addr
	host    plan.ConflictingHost
	// serving is a node with an announcer that answers for the address, "" for none. No announcer has claimed it, so something else
	// has the node answer: another load balancer.
	serving string
}

func newDAD(prober liveness.Prober, links links, logger klog.Logger) *dad {
	return &dad{
		prober:  prober,
		links:   links,
		logger:  logger,
		results: make(chan probeResult),
		cancel:  map[netip.Addr]context.CancelFunc{},
	}
}

// probe has exactly these addresses probed, on the named interfaces, until the context ends.
// Results come through the channel, one for each. Answers of nodes do not count.
func (d *dad) probe(ctx context.Context, addresses map[netip.Addr][]string, nodes nodes) {
	for address, cancel := range d.cancel {
		if _, wanted := addresses[address]; !wanted {
			cancel()
			delete(d.cancel, address)
		}
	}
	for address, interfaces := range addresses {
		if d.cancel[address] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		d.cancel[address] = cancel
		d.running.Go(func() {
			result := probeResult{address: address}
			if !guard.Retry(ctx, "layer2", address.String(), func() { result.host, result.serving = d.ask(ctx, address, interfaces, nodes) }) {
				return
			}
			select {
			case d.results <- result:
			case <-ctx.Done():
			}
		})
	}
}

// finished is to be called with every result before the next probe.
func (d *dad) finished(r probeResult) {
	if cancel := d.cancel[r.address]; cancel != nil {
		cancel()
		delete(d.cancel, r.address)
	}
}

// wait returns when nothing is probed any more, after the context of probe has ended.
func (d *dad) wait() { d.running.Wait() }

// ask finds a host that has an address and is no node, and a node that serves it.
func (d *dad) ask(ctx context.Context, address netip.Addr, interfaces []string, nodes nodes) (_ plan.ConflictingHost, serving string) {
	accept := func(a layer2.Answer) bool {
		node := nodes.macs[a.MAC.String()]
		if node != "" && !a.Probe {
			serving = node
		}
		return node == ""
	}
	for _, name := range interfaces {
		answer, answered, err := d.prober.Ask(ctx, probeQuestion(name, address, accept))
		if err != nil && ctx.Err() == nil {
			d.logger.Error(err, "Cannot find out whether an address that is new is in use already", "address", address, "interface", name)
		}
		if !answered {
			continue
		}
		host := plan.ConflictingHost{Interface: name, MAC: answer.MAC.String()}
		if host.Proxy = d.isProxy(ctx, host, address); host.Proxy {
			return host, serving
		}
		if node := d.nodeOf(ctx, host, address, nodes); node != "" {
			d.logger.Info("The kernel of a node without an announcer answers for an address: see StrictARP", "node", node, "address", address)
			continue
		}
		return host, serving
	}
	return plan.ConflictingHost{}, serving
}

func probeQuestion(ifi string, address netip.Addr, accept func(layer2.Answer) bool) layer2.Question {
	return layer2.Question{
		Interface: ifi, Address: address, Probe: true, Tries: 3, Interval: 150 * time.Millisecond, Accept: accept,
	}
}

// isProxy finds out whether a host that answers for an address answers for others that it cannot
// have: for one of this node, or for most of some that are picked at random.
func (d *dad) isProxy(ctx context.Context, host plan.ConflictingHost, address netip.Addr) bool {
	const picks = 3
	asked := make(chan int)
	ask := func(other netip.Addr, weight int) {
		question := probeQuestion(host.Interface, other, func(a layer2.Answer) bool { return !a.Probe && a.MAC.String() == host.MAC })
		if _, answered, _ := d.prober.Ask(ctx, question); !answered {
			weight = 0
		}
		asked <- weight
	}
	for range picks {
		go ask(neighbourOf(address), 1)
	}
	n := picks
	if own := d.ownAddress(host.Interface, address.Is4()); own.IsValid() {
		n++
		go ask(own, picks)
	}
	sum := 0
	for range n {
		sum += <-asked
	}
	return 2*sum > picks
}

// ownAddress is an address of the node on an interface; not valid if there is none of the family.
func (d *dad) ownAddress(ifi string, ipv4 bool) netip.Addr {
	for _, i := range d.links.Interfaces() {
		for _, address := range i.Addresses {
			if i.Name == ifi && address.Is4() == ipv4 {
				return address
			}
		}
	}
	return netip.Addr{}
}

// neighbourOf picks another address at random from those that differ from an address in the last
// byte, or in the last eight with IPv6.
func neighbourOf(address netip.Addr) netip.Addr {
	bytes := address.AsSlice()
	last := bytes[max(len(bytes)-8, 3):]
	for {
		for i := range last {
			last[i] = byte(1 + rand.N(254))
		}
		if other, _ := netip.AddrFromSlice(bytes); other != address {
			return other
		}
	}
}

// nodeOf is the node without an announcer that a host is; "" for none.
func (d *dad) nodeOf(ctx context.Context, host plan.ConflictingHost, address netip.Addr, nodes nodes) string {
	for name, addresses := range nodes.silent {
		for _, own := range addresses {
			if own.Is4() != address.Is4() {
				continue
			}
			_, answered, _ := d.prober.Ask(ctx, layer2.Question{
				Interface: host.Interface, Address: own, Tries: 2, Interval: 150 * time.Millisecond,
				Accept: func(a layer2.Answer) bool { return a.MAC.String() == host.MAC },
			})
			if answered {
				return name
			}
		}
	}
	return ""
}

// nodes are the hosts that conflict with nobody.
type nodes struct {
	// macs are the announcers, by the hardware addresses with which they answer.
	macs map[string]string
	// silent are the addresses of nodes without an announcer.
	silent map[string][]netip.Addr
}
