package announce

import (
	"maps"
	"net/netip"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// relayLinger is how long something is relayed that is not needed any more. To end it keeps the
// kernel busy for longer than to begin, and it may soon be needed again.
const relayLinger = time.Second

// relayCheck is how often it is made sure that nobody has removed what the kernel relays. The loop turns as often without that, to
// check the kernel (kernelCheckMax).
const relayCheck = kernelCheckMax

// relays has the kernel relay what the planner says, and remembers whether it can.
type relays struct {
	kernel relayer
	logger klog.Logger
	// current is what the kernel relays, as far as that is known.
	current map[netip.Addr]plan.Relay
	// begun says that what a former process had relayed is no concern any more; due is when to end
	// what is not needed.
	begun bool
	due   time.Time
	// checked is when it was last made sure that the kernel still has it.
	checked time.Time
	// wanted is what finish was last told to have relayed.
	wanted map[netip.Addr]plan.Relay
	// problem is why the kernel cannot relay; "" if it can.
	problem string
}

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
	r.wanted = relays
	switch {
	case r.begun && maps.Equal(r.current, relays):
		r.due = time.Time{}
		if len(relays) > 0 {
			r.set(relays) // an interface may be another one of the same name
			r.check(now)
		}
	case r.begun && r.due.IsZero():
		r.due = now.Add(relayLinger)
	case !now.Before(r.due):
		r.set(relays)
		r.due = time.Time{}
	}
	return r.due
}

// leave ends what is not needed any more, without the linger: nobody would end it later.
func (r *relays) leave() {
	if !r.due.IsZero() {
		r.set(r.wanted)
		r.due = time.Time{}
	}
}

// set has these relayed and nothing else.
func (r *relays) set(relays map[netip.Addr]plan.Relay) {
	kernel := make(map[netip.Addr]layer2.Relay, len(relays))
	for ip, relay := range relays {
		kernel[ip] = layer2.Relay(relay)
	}
	err := r.kernel.Set(kernel)
	r.begun = true
	r.noteProblem(err)
	if err == nil && !maps.Equal(r.current, relays) {
		r.current = maps.Clone(relays)
	}
}

// check has the kernel go on with what others have removed, in a while.
func (r *relays) check(now time.Time) {
	switch {
	case r.checked.IsZero():
		r.checked = now
	case now.Sub(r.checked) >= relayCheck:
		r.checked = now
		r.noteProblem(r.kernel.Restore())
	}
}

func (r *relays) noteProblem(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != r.problem {
		r.problem = problem
		r.logger.Info("Whether the kernel relays connections that began on other nodes has changed", "problem", problem)
	}
}

// sentence adds to what a running announcer says that the kernel does not relay.
func (r *relays) sentence() string {
	if r.problem == "" {
		return ""
	}
	return " Connections that are under way when an address moves here break, because the kernel does not relay them: " + r.problem + "."
}
