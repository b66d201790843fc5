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
	// cutFromGossip says that most of those that are alive are out of the gossip's sight, and cutAt when that was so last.
	cutFromGossip bool
	cutAt         time.Time
	isolated      bool
	// withheld is why the node may announce nothing for now.
	withheld withheld
	// linksUp are the interfaces that could send, by name.
	linksUp []string
}

// withheld is why a node that is cut off, or was, may announce nothing: half a sentence about the node, or "" if it may.
type withheld string

const (
	// isCutOff : nobody is in sight.
	isCutOff withheld = "reaches no other announcer, API server or router"
	// isUnanswered : it has paused, and an inquiry has failed.
	isUnanswered withheld = "has not run for a while, and not all others have said what they have taken over meanwhile"
	// hasNoLink : the interface with its own address is down.
	hasNoLink withheld = "has no link on the interface with its own address"
	// isBehind : it was kept from announcing, and has not caught up.
	isBehind withheld = "was cut off or has not run for a while, and has yet to learn what others have taken over meanwhile"
)

// reportMove tells that an address has come to this node or left it.
func (a *Announcer) reportMove(m plan.Move) {
	if m.To == a.node {
		a.metrics.moves.WithLabelValues("gained", string(m.Reason)).Inc()
		a.api.events.Moved(a.view.ServicesOf(m.Address), m)
		a.logger.Info("Announcing an address", "address", m.Address, "interfaces", m.Interfaces, "reason", m.Reason, "from", m.From)
		return
	}
	a.metrics.moves.WithLabelValues("lost", string(m.Reason)).Inc()
	why := m.Verdict.Sentence()
	if a.seen.withheld != "" && m.Verdict == plan.NoInterface { // the plan has no interfaces then
		why = "the node " + string(a.seen.withheld)
	}
	a.logger.Info("No longer announcing an address", "address", m.Address, "reason", m.Reason, "to", m.To, "why", why)
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

// gossipCalm is how long the gossip has to reach the others before the Announcer says so: under a flood of packets it does and does
// not in turn, and every write goes to all nodes.
const gossipCalm = 10 * time.Second

// reportGossipBlocked tells of members that are alive and out of the gossip's sight, and returns when to look again; zero: never.
func (a *Announcer) reportGossipBlocked(nodes []string, now time.Time) (wake time.Time) {
	cut := len(nodes) > len(a.others.inSight)-1
	if cut {
		a.seen.cutAt = now
	}
	if end := a.seen.cutAt.Add(gossipCalm); !cut && a.seen.cutFromGossip && now.Before(end) {
		cut, wake = true, end
	}
	if cut != a.seen.cutFromGossip {
		a.seen.cutFromGossip, a.status.changed = cut, true
	}
	if slices.Equal(a.seen.gossipBlocked, nodes) {
		return wake
	}
	a.seen.gossipBlocked = nodes
	if len(nodes) > 0 {
		a.logger.Info("Announcers are alive but not in the gossip: is its port blocked, TCP or UDP?", "nodes", nodes)
	} else {
		a.logger.Info("All announcers that are alive are in the gossip again")
	}
	return wake
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
