package announce

import (
	"maps"
	"net/netip"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
)

// relaying has the kernel relay what the planner says, and remembers whether it can.
type relaying struct {
	relays *layer2.Relays
	logger klog.Logger
	// current is what the kernel relays, as far as that is known.
	current map[netip.Addr]layer2.Relay
	// problem is why the kernel cannot relay; "" if it can.
	problem string
}

func newRelaying(links *layer2.Links, logger klog.Logger) *relaying {
	return &relaying{relays: layer2.NewRelays(links), logger: logger}
}

// prepare has these relayed too. That takes the kernel less time than to end something.
func (r *relaying) prepare(relays map[netip.Addr]layer2.Relay) {
	for ip, relay := range relays {
		if r.current[ip] != relay {
			all := map[netip.Addr]layer2.Relay{}
			maps.Copy(all, r.current)
			maps.Copy(all, relays)
			r.set(all)
			return
		}
	}
}

// set has these relayed and nothing else.
func (r *relaying) set(relays map[netip.Addr]layer2.Relay) {
	err := r.relays.Set(relays)
	r.note(err)
	if err == nil && !maps.Equal(r.current, relays) {
		r.current = maps.Clone(relays)
	}
	relayedMetric.Set(float64(len(r.current)))
}

func (r *relaying) note(err error) {
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
func (r *relaying) message(message string) string {
	if r.problem != "" {
		message += " Connections that are under way when an address moves here break, because the kernel does not relay them: " + r.problem + "."
	}
	return message
}
