package announce

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
)

// dad is duplicate address detection: it asks the network whether another host has addresses that
// are about to be announced for the first time, in the spirit of RFC 5227, section 2.1, and RFC
// 4862, section 5.4, but in half a second. Its methods are for one goroutine.
type dad struct {
	prober  liveness.Prober
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
}

func newDAD(prober liveness.Prober, logger klog.Logger) *dad {
	return &dad{
		prober:  prober,
		logger:  logger,
		results: make(chan probeResult),
		cancel:  map[netip.Addr]context.CancelFunc{},
	}
}

// probe has exactly these addresses probed, on the named interfaces, until the context ends.
// Results come through the channel, one for each. Answers of members do not count.
func (d *dad) probe(ctx context.Context, addresses map[netip.Addr][]string, isMember func(net.HardwareAddr) bool) {
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
			host := d.ask(ctx, address, interfaces, isMember)
			select {
			case d.results <- probeResult{address, host}:
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

func (d *dad) ask(ctx context.Context, address netip.Addr, interfaces []string, isMember func(net.HardwareAddr) bool) plan.ConflictingHost {
	for _, name := range interfaces {
		answer, answered, err := d.prober.Ask(ctx, layer2.Question{
			Interface: name,
			Address:   address,
			Probe:     true,
			Tries:     3,
			Interval:  150 * time.Millisecond,
			Accept:    func(a layer2.Answer) bool { return !isMember(a.MAC) },
		})
		if answered {
			return plan.ConflictingHost{Interface: name, MAC: answer.MAC.String()}
		}
		if err != nil && ctx.Err() == nil {
			d.logger.Error(err, "Cannot find out whether an address that is new is in use already", "address", address, "interface", name)
		}
	}
	return plan.ConflictingHost{}
}
