package announce

import (
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

// seen is what was last seen, to tell what is new.
type seen struct {
	own           *v1alpha1.Announcer
	states        map[string]plan.MemberState
	gossipBlocked []string
	// cutFromGossip says that most of those that are alive are out of the gossip's sight.
	cutFromGossip bool
	isolated      bool
	// linksUp are the interfaces that could send, by name.
	linksUp []string
}

// reportMove tells that an address has come to this node or left it.
func (a *Announcer) reportMove(m plan.Move) {
	if m.To == a.node {
		a.metrics.moves.WithLabelValues("gained", string(m.Reason)).Inc()
		a.api.events.Moved(a.view.ServicesOf(m.Address), m)
		a.logger.Info("Announcing an address", "address", m.Address, "interfaces", m.Interfaces, "reason", m.Reason, "from", m.From)
		return
	}
	a.metrics.moves.WithLabelValues("lost", string(m.Reason)).Inc()
	a.logger.Info("No longer announcing an address", "address", m.Address, "reason", m.Reason, "to", m.To, "why", m.Verdict.Sentence())
}

// reportConflict tells people of a host that has an address and is no announcer.
func (a *Announcer) reportConflict(c plan.Conflict) {
	a.logger.Info("A host that is no announcer answers for an address", "address", c.Address, "mac", c.MAC, "interface", c.Interface,
		"announced", c.InUse, "proxy", c.Proxy)
	if c.Proxy {
		return // the cloud-controller-manager tells once, for all announcers
	}
	a.api.events.Conflict(a.view.ServicesOf(c.Address), c)
}

// reportFailures tells of what the plan failed on, for a fault of the program.
func (a *Announcer) reportFailures(failures []plan.Failure) {
	for _, f := range failures {
		guard.Report("plan", f.On(), f.Panic)
		if services := a.view.ServicesOf(f.Address); len(services) > 0 {
			a.api.events.Failed(services, f)
		}
	}
	a.status.setFailures(a.planner.Failed())
}

// reportDeaths measures how long it took to find out that members are dead.
func (a *Announcer) reportDeaths(states map[string]plan.MemberState, now time.Time) {
	for name, state := range states {
		before, known := a.seen.states[name]
		if state != plan.Dead || !known || before == plan.Dead {
			continue
		}
		last := a.others.members.LastSeen(name)
		if heard := a.others.watch.lastHeard(name); heard.After(last) {
			last = heard
		}
		if !last.IsZero() {
			a.metrics.detection.Observe(now.Sub(last).Seconds())
		}
	}
	a.seen.states = states
}

func (a *Announcer) reportGossipBlocked(nodes []string) {
	if cut := len(nodes) > len(a.others.inSight)-1; cut != a.seen.cutFromGossip {
		a.seen.cutFromGossip, a.status.changed = cut, true
	}
	if slices.Equal(a.seen.gossipBlocked, nodes) {
		return
	}
	a.seen.gossipBlocked = nodes
	if len(nodes) > 0 {
		a.logger.Info("Announcers are alive but not in the gossip: is its port blocked, TCP or UDP?", "nodes", nodes)
	} else {
		a.logger.Info("All announcers that are alive are in the gossip again")
	}
}

// reportCounts has the metrics say how much this node does, and among how many.
func (a *Announcer) reportCounts(todo plan.Layer2Plan) {
	a.metrics.addresses.Set(float64(len(todo.Layer2)))
	a.metrics.proxied.Set(float64(len(todo.Proxied)))
	a.metrics.relayed.Set(float64(len(a.lan.relays.current)))
	a.metrics.members.WithLabelValues("alive").Set(float64(len(a.others.members.Alive())))
	a.metrics.members.WithLabelValues("expected").Set(float64(len(a.others.expected)))
}

// reportStatus has the status written if it has changed, or if the API has another one than before,
// which somebody may have made.
func (a *Announcer) reportStatus(changed bool) {
	own := a.ownAnnouncer()
	if changed || own == nil || a.status.changed {
		a.status.changed = false
		a.api.status.Write(a.currentStatus(own))
	} else if own != a.seen.own {
		a.api.status.Recheck()
	}
	a.seen.own = own
}

// ownAnnouncer is the node's Announcer as the API has it; nil if there is none.
func (a *Announcer) ownAnnouncer() *v1alpha1.Announcer { return a.api.watcher.Announcer(a.node) }
