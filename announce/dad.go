package announce

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// dad asks the network whether a stranger has addresses that are about to be announced for the first time, in the spirit
// of RFC 5227, section 2.1, and RFC 4862, section 5.4, but in half a second.
type dad struct {
	prober *layer2.Prober
	logger klog.Logger
	done   chan dadResult

	running sync.WaitGroup
	cancel  map[netip.Addr]context.CancelFunc
}

type dadResult struct {
	address netip.Addr
	host    plan.ConflictingHost // zero: nobody answered
}

func newDAD(prober *layer2.Prober, logger klog.Logger) *dad {
	return &dad{
		prober: prober,
		logger: logger,
		done:   make(chan dadResult),
		cancel: map[netip.Addr]context.CancelFunc{},
	}
}

// probe has exactly these addresses tried, on the named interfaces, until the context ends. Results come through done, each
// once. Hosts that are known are no strangers.
func (t *dad) probe(ctx context.Context, addresses map[netip.Addr][]string, known func(net.HardwareAddr) bool) {
	for address, cancel := range t.cancel {
		if _, wanted := addresses[address]; !wanted {
			cancel()
			delete(t.cancel, address)
		}
	}
	for address, interfaces := range addresses {
		if t.cancel[address] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		t.cancel[address] = cancel
		t.running.Go(func() {
			stranger := t.ask(ctx, address, interfaces, known)
			select {
			case t.done <- dadResult{address, stranger}:
			case <-ctx.Done():
			}
		})
	}
}

// finished is to be called with every result before the next set.
func (t *dad) finished(r dadResult) {
	if cancel := t.cancel[r.address]; cancel != nil {
		cancel()
		delete(t.cancel, r.address)
	}
}

// wait returns when nothing is tried any more, after the context of set has ended.
func (t *dad) wait() { t.running.Wait() }

func (t *dad) ask(ctx context.Context, address netip.Addr, interfaces []string, known func(net.HardwareAddr) bool) plan.ConflictingHost {
	for _, ifi := range interfaces {
		answer, answered, err := t.prober.Ask(ctx, layer2.Question{
			Interface: ifi,
			Address:   address,
			Probe:     true,
			Tries:     3,
			Interval:  150 * time.Millisecond,
			Accept:    func(a layer2.Answer) bool { return !known(a.MAC) },
		})
		if answered {
			return plan.ConflictingHost{Interface: ifi, MAC: answer.MAC.String()}
		}
		if err != nil && ctx.Err() == nil {
			t.logger.Error(err, "Cannot find out whether an address that is new is in use already", "address", address, "interface", ifi)
		}
	}
	return plan.ConflictingHost{}
}
