package announce

import "time"

// stage is how far a node has come with taking leave of its routers.
type stage int

const (
	// staying is a node that is not drained.
	staying stage = iota
	// noticing : its routes say that others are to be preferred.
	noticing
	// withdrawn : its routes are gone, but for those that no other node can have.
	withdrawn
	// left : its sessions are gone too, unless it still has routes.
	left
)

// How long a node that is drained stays in a stage: routers need a moment to find other ways, and packets that are under way
// to arrive.
const (
	drainNotice = 5 * time.Second
	drainSettle = 2 * time.Second
)

// leave is a node's way through the stages.
type leave struct {
	stage stage
	since time.Time
}

// step finds the stage of a node that is to leave or not. One that is to from the start has nothing to take leave of. If time
// alone will change the stage, wake says when.
func (l *leave) step(leaving, first bool, now time.Time) (s stage, wake time.Time) {
	switch {
	case !leaving:
		l.since = time.Time{}
		return staying, time.Time{}
	case l.since.IsZero() && first:
		l.since = now.Add(-drainNotice - drainSettle)
	case l.since.IsZero():
		l.since = now
	}
	if end := l.since.Add(drainNotice); now.Before(end) {
		return noticing, end
	} else if end = end.Add(drainSettle); now.Before(end) {
		return withdrawn, end
	}
	return left, time.Time{}
}
