package liveness

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// maxSilencePause is the longest time between two questions for a node that stays silent. It is dead for Kubernetes too by then.
const maxSilencePause = 30 * time.Second

// Silence finds out which nodes are silent: their announcers are missed, by heartbeats or by the gossip, and nothing answers at any of
// their addresses, while a majority of the announcers does. A Detector decides about addresses, for which a part of that is enough, and
// lets a dead member be. Silence asks by the same rules, about all that are missed, and goes on asking: so it notices at once if a node
// was silent for a moment only.
type Silence struct {
	detector *Detector
	changed  notify.Signal
	running  sync.WaitGroup

	mu    sync.Mutex
	nodes map[string]*quietNode
}

// quietNode is what is known of a node whose announcer is missed.
type quietNode struct {
	questions []plan.Question
	cancel    context.CancelFunc
	// heard is what the last round found out; Silence.mu guards it.
	heard hearing
}

// hearing is whether a node answers.
type hearing int

const (
	unheard hearing = iota // not known: it cannot be asked, or this node is cut off itself
	silent
	answering
)

// NewSilence returns a Silence that asks as a Detector does, and takes its word for who is a majority.
func NewSilence(detector *Detector) *Silence {
	return &Silence{detector: detector, changed: notify.New(), nodes: map[string]*quietNode{}}
}

// Update has exactly these nodes asked for at all of their addresses, until the context ends, and returns which of them are silent, and
// of which nothing is known, or not yet, in order. The others answer. Changed receives when Update would return something else.
func (s *Silence) Update(ctx context.Context, nodes map[string][]plan.Question) (quiet, unknown []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, node := range s.nodes {
		if questions, still := nodes[name]; !still || !slices.Equal(questions, node.questions) {
			node.cancel()
			delete(s.nodes, name)
		}
	}
	for name, questions := range nodes {
		node := s.nodes[name]
		if node == nil {
			node = s.listen(ctx, name, questions)
			s.nodes[name] = node
		}
		switch node.heard {
		case silent:
			quiet = append(quiet, name)
		case unheard:
			unknown = append(unknown, name)
		}
	}
	slices.Sort(quiet)
	slices.Sort(unknown)
	return quiet, unknown
}

// Changed receives when Update would return something else than before.
func (s *Silence) Changed() <-chan struct{} { return s.changed }

// Wait returns when nothing is asked any more, after the context of Update has ended.
func (s *Silence) Wait() { s.running.Wait() }

// listen starts to ask for a node.
func (s *Silence) listen(ctx context.Context, name string, questions []plan.Question) *quietNode {
	ctx, cancel := context.WithCancel(ctx)
	node := &quietNode{questions: questions, cancel: cancel}
	s.running.Go(func() {
		guard.Retry(ctx, "liveness", name, func() { s.ask(ctx, name, node) })
	})
	return node
}

// ask asks until the context ends: more and more seldom as long as nothing changes.
func (s *Silence) ask(ctx context.Context, name string, node *quietNode) {
	timing := s.detector.timing
	for pause := timing.pause; ctx.Err() == nil; pause *= 2 {
		heard := s.round(ctx, name, node)
		longest := timing.maxPause
		if heard == silent {
			longest = maxSilencePause
		}
		if s.note(ctx, node, heard) {
			pause = timing.pause
		}
		pause = min(pause, longest)
		select {
		case <-ctx.Done():
		case <-time.After(pause + rand.N(timing.pause/4)):
		}
	}
}

// round asks once, at all addresses at the same time: thoroughly, unless the node is known to be silent. What is not answered proves
// nothing unless this node sees a majority before as well as after.
func (s *Silence) round(ctx context.Context, name string, node *quietNode) hearing {
	s.mu.Lock()
	questions, thoroughly := node.questions, node.heard != silent
	s.mu.Unlock()
	quiet, hears := len(questions) > 0, Reach(nil)
	if thoroughly {
		hears = s.detector.hasMajority
		quiet = quiet && hears(ctx)
	}
	results := make(chan answer, len(questions))
	for _, q := range questions {
		s.running.Go(func() { results <- s.detector.askNode(ctx, name, q, hears) })
	}
	for range questions {
		switch <-results {
		case answered:
			return answering
		case silence:
		case unanswered:
			quiet = quiet && !thoroughly
		default:
			quiet = false
		}
	}
	if quiet && (thoroughly || s.detector.hasMajority(ctx)) {
		return silent
	}
	return unheard
}

// note takes what a round found out, unless the node is not asked for any more, and returns whether that is news.
func (s *Silence) note(ctx context.Context, node *quietNode, heard hearing) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || node.heard == heard {
		return false
	}
	node.heard = heard
	s.changed.Notify()
	return true
}
