package plan

import "time"

// shutdownStage is how far a node has come with leaving its BGP peers.
type shutdownStage int

const (
	// inService is a node that is not drained.
	inService shutdownStage = iota
	// graceful : its routes say that others are to be preferred (RFC 8326).
	graceful
	// withdrawn : its routes are withdrawn, but for those that no other node can announce.
	withdrawn
	// closed : its sessions are closed too, unless it still has routes.
	closed
)

// How long a node that is drained stays in a stage: peers need a moment to find other ways, and
// packets that are under way to arrive.
const (
	gracefulPeriod = 5 * time.Second
	withdrawPeriod = 2 * time.Second
)

// gracefulShutdown is a node's way through the stages.
type gracefulShutdown struct {
	stage shutdownStage
	// since is when the node began to shut down; zero while it is in service.
	since time.Time
}

// step finds the stage of a node that is to leave or not. One that is to leave at the first step
// has nothing to shut down. If time alone will change the stage, wake says when.
func (s *gracefulShutdown) step(leaving, first bool, now time.Time) (wake time.Time) {
	switch {
	case !leaving:
		*s = gracefulShutdown{}
		return time.Time{}
	case s.since.IsZero() && first:
		s.since = now.Add(-gracefulPeriod - withdrawPeriod)
	case s.since.IsZero():
		s.since = now
	}
	withdraw := s.since.Add(gracefulPeriod)
	end := withdraw.Add(withdrawPeriod)
	switch {
	case now.Before(withdraw):
		s.stage, wake = graceful, withdraw
	case now.Before(end):
		s.stage, wake = withdrawn, end
	default:
		s.stage = closed
	}
	return wake
}

// ShutdownMessage is why an announcer that ends now is not just being restarted (RFC 9003); empty
// if it may be. A kubelet that shuts its node down says that it is not ready before it ends what
// runs there.
func (p *BGPPlanner) ShutdownMessage() string {
	switch own := p.view.nodes[p.node]; {
	case own == nil:
		return nodeRemoved
	case own.draining || own.excluded:
		return nodeDrained
	case own.notReady:
		return nodeNotReady
	}
	return ""
}
