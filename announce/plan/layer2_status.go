package plan

import (
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Status is what the node records of itself on layer 2: the claims of the last plan, the conflicts,
// and the interfaces that can carry addresses, which others go by.
func (p *Layer2Planner) Status() v1alpha1.Layer2Status {
	status := v1alpha1.Layer2Status{
		Addresses:  p.claims.status(),
		Conflicts:  p.conflicts.status(),
		Probed:     p.wished.status(),
		Rebalanced: p.claims.rebalanced,
	}
	for _, i := range p.interfaces {
		if !i.Down {
			status.Interfaces = append(status.Interfaces, writeInterface(i))
		}
	}
	return status
}

// Drain is by what a node is drained and what it still announces on layer 2.
type Drain struct {
	By []DrainCause
	// Leaving are how many addresses the node announces until another node does, Staying how many
	// no other node can announce.
	Leaving, Staying int
}

// DrainCause is something on a Node that has the node drained.
type DrainCause struct {
	Kind DrainKind
	// Key of the label, annotation or taint.
	Key string
}

// DrainKind is what kind of thing has a node drained.
type DrainKind string

const (
	DrainLabel      DrainKind = "label"
	DrainAnnotation DrainKind = "annotation"
	DrainTaint      DrainKind = "taint"
)

// Drain tells by what the planner's node is drained, and what is left to leave it as of the last
// plan; false if it is not drained.
func (p *Layer2Planner) Drain() (Drain, bool) {
	n := p.view.nodes[p.node]
	if n == nil || len(n.drainedBy) == 0 {
		return Drain{}, false
	}
	d := Drain{By: n.drainedBy}
	for ip := range p.claims.announced {
		if p.round.Decision(ip).Owner == p.node {
			d.Staying++
		} else {
			d.Leaving++
		}
	}
	return d, true
}
