package announced

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/announce/plan"
)

// namesShown is how many nodes a sentence names for each reason: a condition of a hundred nodes
// must stay readable.
const namesShown = 3

// fewOf is a few of some names, and how many more there are.
func fewOf(names []string) string {
	if more := len(names) - namesShown; more > 0 {
		names = append(names[:namesShown:namesShown], fmt.Sprintf("%d more", more))
	}
	return and(names)
}

// and joins words as in a sentence.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// counted is a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// withRemedy adds to a cause what helps; "" if there is nothing to do.
func withRemedy(cause, remedy string) string {
	if remedy == "" {
		return cause
	}
	return cause + "; " + remedy
}

// notAnnounced is the half sentence about an address that is not announced, and why.
func notAnnounced(why string) string { return "not announced: " + why }

// whyNoNode is a half sentence that has the nodes by what keeps them from announcing.
func (e *evaluator) whyNoNode(verdicts []plan.Layer2Verdict) string {
	if len(verdicts) == 0 {
		return "there is no node"
	}
	type why struct {
		reason   plan.Reason
		sentence string
	}
	var whys []why
	nodes := map[why][]string{}
	for _, v := range verdicts { // sorted by name
		w := why{v.Reason, withRemedy(v.Sentence(), v.Remedy())}
		if v.Reason == plan.NotAlive || v.Reason == plan.NoAnnouncer {
			w.sentence = e.whyNotAlive(v.Node)
		}
		if nodes[w] == nil {
			whys = append(whys, w)
		}
		nodes[w] = append(nodes[w], v.Node)
	}
	slices.SortFunc(whys, func(a, b why) int {
		return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.sentence, b.sentence))
	})
	var parts []string
	for _, w := range whys {
		parts = append(parts, fewOf(nodes[w])+" ("+w.sentence+")")
	}
	return "no node can: " + strings.Join(parts, ", ")
}

// problems is a sentence of what is wrong on which nodes, which are sorted.
func problems(nodes map[string][]string) string {
	var parts []string
	for what, names := range nodes {
		parts = append(parts, fewOf(names)+": "+what)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
