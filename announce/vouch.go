package announce

import (
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/plan"
)

// A member that one node misses and another one hears is alive: there is something wrong between the two, such as a cable of several
// between two switches. So who misses a neighbour tells the other neighbours of that one, and who has heard a heartbeat since says so,
// before the silence is long enough to count. What is said of a member that dies in that moment is not wrong for long: when the others
// miss it too, they say so.

// vouch is what this node is to find out of a neighbour that others miss.
type vouch struct {
	// since is when it was told.
	since time.Time
	from  map[string]bool
	// until is when nobody waits for it any more.
	until time.Time
}

// doubt takes note that another node misses a member.
func (w *watch) doubt(name, from string, now time.Time) {
	if _, neighbour := w.neighbours[name]; !neighbour {
		return
	}
	v := w.vouching[name]
	if v.from == nil {
		v = vouch{since: now, from: map[string]bool{}}
		w.heartbeats.Await(name, now)
	}
	v.from[from], v.until = true, now.Add(lateFor)
	if w.vouching == nil {
		w.vouching = map[string]vouch{}
	}
	w.vouching[name] = v
}

// vouch says of the neighbours that others miss which of them this node hears. It returns when to do so again.
func (a *Announcer) vouch(now time.Time) (wake time.Time) {
	w := &a.others.watch
	for name, v := range w.vouching {
		switch {
		case w.heartbeats.LastArrival(name).After(v.since):
			for _, watcher := range heartbeat.Neighbours(name, w.inGossip) {
				v.from[watcher] = true
			}
			delete(v.from, a.node)
			for to := range v.from {
				a.tell(to, message{Hears: []string{name}})
			}
			fallthrough
		case !now.Before(v.until):
			delete(w.vouching, name)
		default:
			wake = plan.Earlier(wake, v.until) // or sooner, when a heartbeat comes
		}
	}
	return wake
}

// trust takes in which members another node hears. If this one misses one of them and has said so, it takes that back.
func (a *Announcer) trust(hears []string) {
	w := &a.others.watch
	var heard []string
	for _, name := range hears {
		delete(w.told, name)
		state, neighbour := w.states[name]
		if !neighbour || state == heartbeat.Heard || w.vouched[name] {
			continue
		}
		if w.vouched == nil {
			w.vouched = map[string]bool{}
		}
		w.vouched[name] = true
		if state == heartbeat.Silent {
			heard = append(heard, name)
		}
	}
	if len(heard) > 0 {
		a.broadcast(message{Heard: heard})
	}
}

// concernedBy are who may take over from a member, and who else would know whether it is alive; none if it has nothing.
func (a *Announcer) concernedBy(name string) []string {
	heirs := a.planner.Heirs(name)
	if len(heirs) == 0 {
		return nil
	}
	concerned := append(heartbeat.Neighbours(name, a.others.watch.inGossip), heirs...)
	slices.Sort(concerned)
	return slices.Compact(concerned)
}
