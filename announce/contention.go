package announce

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

const (
	// defendInterval is the shortest time between two announcements of an address that defend it
	// against another host: DEFEND_INTERVAL of RFC 5227, section 1.1.
	defendInterval = 10 * time.Second
	// tellInterval is the shortest time between two messages about an address to members that
	// announce it.
	tellInterval = time.Second
	// contentionInterval is the shortest time between two lines that are logged about an address.
	contentionInterval = time.Minute
)

// contentions are the addresses of this node that others have claimed lately.
type contentions map[netip.Addr]*contention

// contention is when something was last done about an address that others claim.
type contention struct {
	seen, defended, told, logged time.Time
	// packets are those of hosts that are no members, since something was logged.
	packets int
}

// of returns what is known of an address.
func (c contentions) of(address netip.Addr, now time.Time) *contention {
	if c[address] == nil {
		c[address] = &contention{}
	}
	c[address].seen = now
	return c[address]
}

// expire forgets those that are over.
func (c contentions) expire(now time.Time) {
	for address, one := range c {
		if now.Sub(one.seen) >= contentionInterval {
			delete(c, address)
		}
	}
}

// due says whether an interval is over since a time, which is now if so.
func due(last *time.Time, interval time.Duration, now time.Time) bool {
	if now.Sub(*last) < interval {
		return false
	}
	*last = now
	return true
}

// observeSightings takes note of others that answer for addresses of this node.
func (a *Announcer) observeSightings() {
	now := time.Now()
	a.lan.contentions.expire(now)
	for _, s := range a.lan.responder.Sightings() {
		c := a.lan.contentions.of(s.Address, now)
		if node := a.others.macs[s.MAC.String()]; node != "" {
			a.observeMember(s, node, c, now)
		} else {
			a.observeHost(s, c, now)
		}
	}
}

// observeMember takes note of another announcer, which may be the one that is to have the address
// next.
func (a *Announcer) observeMember(s layer2.Sighting, node string, c *contention, now time.Time) {
	a.metrics.conflicts.WithLabelValues("member").Add(float64(s.Packets))
	a.planner.ObserveAnnouncement(s.Address, node, now)
	if claim, holds := a.planner.ClaimOn(s.Address); holds && due(&c.told, tellInterval, now) {
		a.tell(node, message{Claims: []plan.Takeover{claim}})
	}
}

// observeHost takes note of hosts that are no announcers, against which the address is defended
// (RFC 5227, section 2.4).
func (a *Announcer) observeHost(s layer2.Sighting, c *contention, now time.Time) {
	a.metrics.conflicts.WithLabelValues("host").Add(float64(s.Packets))
	c.packets += s.Packets
	conflict, news := a.planner.ObserveConflict(s.Address, plan.ConflictingHost{Interface: s.Interface, MAC: s.MAC.String()}, now)
	if s.LastMAC.String() != s.MAC.String() {
		a.planner.ObserveConflict(s.Address, plan.ConflictingHost{Interface: s.Interface, MAC: s.LastMAC.String()}, now)
	}
	if news {
		c.logged, c.packets = now, 0
		a.reportConflict(conflict)
	} else if due(&c.logged, contentionInterval, now) {
		a.logger.Info("Hosts that are no announcers go on claiming an address", "address", s.Address, "interface", s.Interface,
			"mac", s.LastMAC.String(), "packets", c.packets)
		c.packets = 0
	}
	if due(&c.defended, defendInterval, now) {
		a.lan.responder.Reannounce(s.Address)
	}
}
