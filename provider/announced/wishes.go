package announced

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// settledWishes are the addresses that Services ask for by name and do not have, with whether an announcer
// has asked the network for it, or none will: a Service has it, or it is not announced on layer 2, or
// without a probe.
func (e *evaluator) settledWishes(now time.Time) map[netip.Addr]bool {
	settled := map[netip.Addr]bool{}
	var probed map[string]bool
	for address := range e.view.Wishes() {
		if probed == nil {
			probed = e.probed()
		}
		if _, known := e.conflicts[address]; known || probed[address.String()] {
			settled[address] = true
			continue
		}
		if !e.planned {
			e.planLayer2(now)
		}
		settled[address] = e.layer2.Prober(address) == ""
	}
	return settled
}

// probed are the addresses for which an announcer that is alive has asked the network without an answer.
func (e *evaluator) probed() map[string]bool {
	probed := map[string]bool{}
	for _, name := range e.alive {
		for _, address := range e.announcers[name].Status.Layer2.Probed {
			probed[address] = true
		}
	}
	return probed
}

// WishSettled says whether a Service may be given an address that it asks for by name: an announcer has
// asked the network for it, or none will. Requeue is told when that becomes so.
func (c *Controller) WishSettled(address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wishes[address]
}

// settleWishes has the Services requeued that may be given what they ask for now.
func (c *Controller) settleWishes(now time.Time) {
	settled, requeue := c.evaluator.settledWishes(now), []types.NamespacedName{}
	c.mu.Lock()
	for address, services := range c.evaluator.view.Wishes() {
		if settled[address] && !c.wishes[address] {
			requeue = append(requeue, services...)
		}
	}
	c.wishes = settled
	c.mu.Unlock()
	c.Requeue(requeue...)
}
