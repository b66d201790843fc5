package announce

import (
	"maps"
	"net/netip"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// relays has the kernel relay what the planner says, and remembers whether it can.
type relays struct {
	kernel interface {
		Set(map[netip.Addr]layer2.Relay) error
	}
	logger klog.Logger
	// current is what the kernel relays, as far as that is known.
	current map[netip.Addr]plan.Relay
	// begun says that what a former process had relayed is no concern any more; due is when to end what is not needed.
	begun bool
	due   time.Time
	// problem is why the kernel cannot relay; "" if it can.
	problem string
}

func newRelays(links *layer2.Links, logger klog.Logger) *relays {
	return &relays{kernel: layer2.NewRelays(links), logger: logger}
}

// unneeded is how long something is relayed that is not needed any more. To end it keeps the kernel busy for longer than to
// begin, and it may soon be needed again.
const unneeded = time.Second

// prepare has these relayed too.
func (r *relays) prepare(relays map[netip.Addr]plan.Relay) {
	for ip, relay := range relays {
		if r.current[ip] != relay {
			all := map[netip.Addr]plan.Relay{}
			maps.Copy(all, r.current)
			maps.Copy(all, relays)
			r.set(all)
			return
		}
	}
}

// finish has nothing else relayed than these, in a while, and returns when to call it again for that.
func (r *relays) finish(relays map[netip.Addr]plan.Relay, now time.Time) (wake time.Time) {
	switch {
	case r.begun && maps.Equal(r.current, relays):
		r.due = time.Time{}
		if len(relays) > 0 {
			r.set(relays) // an interface may be another one of the same name
		}
	case r.begun && r.due.IsZero():
		r.due = now.Add(unneeded)
	case !now.Before(r.due):
		r.set(relays)
		r.due = time.Time{}
	}
	return r.due
}

// set has these relayed and nothing else.
func (r *relays) set(relays map[netip.Addr]plan.Relay) {
	kernel := make(map[netip.Addr]layer2.Relay, len(relays))
	for ip, relay := range relays {
		kernel[ip] = layer2.Relay(relay)
	}
	err := r.kernel.Set(kernel)
	r.begun = true
	r.note(err)
	if err == nil && !maps.Equal(r.current, relays) {
		r.current = maps.Clone(relays)
	}
	relayedMetric.Set(float64(len(r.current)))
}

func (r *relays) note(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != r.problem {
		r.problem = problem
		r.logger.Info("Whether the kernel relays connections that began on other nodes has changed", "problem", problem)
	}
}

// message adds what is missing to what an announcer says of itself.
func (r *relays) message(message string) string {
	if r.problem != "" {
		message += " Connections that are under way when an address moves here break, because the kernel does not relay them: " + r.problem + "."
	}
	return message
}
