package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// maxPreviousOwners is how many previous owners a claim names. The kernel's relaying takes a packet
// past some more.
const maxPreviousOwners = 8

// previousOwnerGrace is how long a node out of sight is still relayed to: longer than it takes to
// restart its announcer, without which the node serves its connections too. After that, what
// belongs to them is refused here, so that clients know.
const previousOwnerGrace = RestartGrace

// previousOwners are the nodes that had an address before a node that gets it by a decision, the
// last one first.
func previousOwners(v *View, node string, ip netip.Addr, d election.Decision) []string {
	var previous []string
	if d.Why == election.IncumbentIneligible || d.Why == election.HandedOver {
		previous = append(previous, d.Incumbent)
	}
	if incumbent := v.announcers[d.Incumbent]; incumbent != nil {
		previous = append(previous, incumbent.claims[ip].previousOwners...)
	}
	previous = slices.DeleteFunc(previous, func(name string) bool { return name == node })
	return previous[:min(len(previous), maxPreviousOwners)]
}

// absences are since when announcers have been out of sight. They are about previous owners alone:
// the failure detector says who is dead.
type absences struct {
	since map[string]time.Time
	// asked is when expire was called last.
	asked time.Time
}

// update takes note of who is out of sight.
func (a *absences) update(announcers map[string]*announcer, alive []string, now time.Time) {
	for name := range announcers {
		if _, is := slices.BinarySearch(alive, name); is {
			delete(a.since, name)
		} else if _, noted := a.since[name]; !noted {
			a.since[name] = now
		}
	}
	for name := range a.since {
		if announcers[name] == nil {
			delete(a.since, name)
		}
	}
}

// expire says whether a node has been out of sight, since it was called last, for so long that it
// is not relayed to any more. It returns when that is for the next one.
func (a *absences) expire(now time.Time) (lost bool, wake time.Time) {
	for _, since := range a.since {
		if end := since.Add(previousOwnerGrace); now.Before(end) {
			wake = Earlier(wake, end)
		} else if a.asked.Before(end) {
			lost = true
		}
	}
	a.asked = now
	return lost, wake
}

// reachable are those previous owners that may still have connections.
func (a *absences) reachable(previous []string, v *View, now time.Time) []string {
	lost := func(name string) bool {
		since, away := a.since[name]
		return away && now.Sub(since) >= previousOwnerGrace || v.nodes[name] == nil || v.announcers[name] == nil
	}
	if !slices.ContainsFunc(previous, lost) {
		return previous
	}
	return slices.DeleteFunc(slices.Clone(previous), lost)
}
