package plan

import (
	"fmt"
	"strings"
)

// Drain tells what has the planner's node drained, and which addresses are still announced from it as of the last plan, in a
// sentence for people; "" if the node is not drained.
func (p *Layer2Planner) Drain() string {
	n := p.view.nodes[p.node]
	if n == nil || len(n.drainedBy) == 0 {
		return ""
	}
	var leave, stay int
	for ip := range p.announced {
		if p.round.Decision(ip).Owner == p.node {
			stay++
		} else {
			leave++
		}
	}
	var rest []string
	if leave > 0 {
		rest = append(rest, addresses(leave)+" until another node does")
	}
	if stay > 0 {
		rest = append(rest, addresses(stay)+" that no other node can")
	}
	sentence := "The node is drained by " + strings.Join(n.drainedBy, " and ")
	if len(rest) == 0 {
		return sentence + " and announces no address on layer 2 any more."
	}
	return sentence + " and announces on layer 2 only " + strings.Join(rest, " and ") + "."
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}
