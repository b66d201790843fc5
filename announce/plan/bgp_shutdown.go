package plan

import "time"

// stage is how far a node has come with taking leave of its routers.
type stage int

const (
	// inService is a node that is not drained.
	inService stage = iota
	// graceful : its routes say that others are to be preferred.
	graceful
	// withdrawn : its routes are gone, but for those that no other node can have.
	withdrawn
	// closed : its sessions are gone too, unless it still has routes.
	closed
)

// How long a node that is drained stays in a stage: routers need a moment to find other ways, and packets that are under way
// to arrive.
const (
	gracefulPeriod = 5 * time.Second
	withdrawPeriod = 2 * time.Second
)

// gracefulShutdown is a node's way through the stages.
type gracefulShutdown struct {
	stage stage
	since time.Time
}

// step finds the stage of a node that is to leave or not. One that is to from the start has nothing to take leave of. If time
// alone will change the stage, wake says when.
func (l *gracefulShutdown) step(leaving, first bool, now time.Time) (s stage, wake time.Time) {
	switch {
	case !leaving:
		l.since = time.Time{}
		return inService, time.Time{}
	case l.since.IsZero() && first:
		l.since = now.Add(-gracefulPeriod - withdrawPeriod)
	case l.since.IsZero():
		l.since = now
	}
	if end := l.since.Add(gracefulPeriod); now.Before(end) {
		return graceful, end
	} else if end = end.Add(withdrawPeriod); now.Before(end) {
		return withdrawn, end
	}
	return closed, time.Time{}
}

// ShutdownMessage is why an announcer that ends now is not just being restarted; empty if it may be. A kubelet that shuts its node down
// says that it is not ready before it ends what runs there.
func (p *BGPPlanner) ShutdownMessage() string {
	switch own := p.view.nodes[p.node]; {
	case own == nil:
		return "the node is removed"
	case own.draining || own.excluded:
		return "the node is drained"
	case own.notReady:
		return "the node is not ready"
	}
	return ""
}
