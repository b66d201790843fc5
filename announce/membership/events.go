package membership

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clarionlb/clarion/internal/guard"
)

// events is the Cluster as memberlist's EventDelegate and PingDelegate: memberlist tells it which
// members are alive.
type events struct{ *Cluster }

// NotifyJoin is called when a member becomes alive.
func (e events) NotifyJoin(n *memberlist.Node) {
	e.guard(n, func() {
		m := e.markAlive(n)
		e.config.Logger.Info("An announcer is in sight", "node", n.Name, "address", m.address)
		e.notifyChanged()
	})
}

// guard does something about another member than this one. memberlist has locks while it calls: a panic
// would end the process or leave it without gossip.
func (e events) guard(n *memberlist.Node, do func()) {
	if n.Name != e.config.Name {
		guard.Run("gossip", n.Name, do)
	}
}

// NotifyUpdate is called when a member that is alive has another session: it died and was started
// again before anybody noticed.
func (e events) NotifyUpdate(n *memberlist.Node) {
	e.guard(n, func() {
		e.markAlive(n)
		e.config.Logger.Info("An announcer has been started again", "node", n.Name)
	})
}

// markAlive begins anew with what is known of a member.
func (e events) markAlive(n *memberlist.Node) member {
	address, _ := netip.AddrFromSlice(n.Addr)
	m := &member{alive: true, address: address.Unmap(), session: bytes.Clone(n.Meta), lastSeen: time.Now()}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.members[n.Name], e.alive = m, nil
	return *m
}

// NotifyLeave is called when a member died or left.
func (e events) NotifyLeave(n *memberlist.Node) {
	e.guard(n, func() {
		e.config.Logger.Info("An announcer is out of sight", "node", n.Name, "left", e.markDead(n.Name))
		e.notifyChanged()
	})
}

// markDead takes note that a member is not alive any more, and returns whether it has left.
func (e events) markDead(name string) (left bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.members[name]
	m.alive, e.alive = false, nil
	return m.left
}

// AckPayload returns what goes with an answer to a probe: nothing.
func (events) AckPayload() []byte { return nil }

// NotifyPingComplete is called when a member has answered a probe.
func (e events) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	e.guard(n, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if m := e.members[n.Name]; m != nil {
			m.lastSeen = time.Now()
		}
	})
}

// notifyChanged tells the user of the Cluster, and joinPeers, that a member has become alive or dead.
func (c *Cluster) notifyChanged() {
	c.changed.Notify()
	c.joins.wake.Notify()
}
