package announce

import (
	"context"
	"slices"

	"github.com/clarionlb/clarion/announce/plan"
)

// recordSilence has it recorded which nodes are silent, of those whose announcers should be in the gossip's sight and are not.
func (a *Announcer) recordSilence(ctx context.Context, alive []string, interfaces []plan.Interface) {
	if a.api.deadNodes == nil || a.others.expected == nil {
		return
	}
	questions := map[string][]plan.Question{}
	for name := range a.others.expected {
		if _, sees := slices.BinarySearch(alive, name); !sees && name != a.node {
			questions[name] = a.planner.NodeQuestions(name, interfaces)
		}
	}
	silent, answering := a.others.silence.Update(ctx, questions)
	var unknown []string
	for name := range questions {
		if !slices.Contains(silent, name) && !slices.Contains(answering, name) {
			unknown = append(unknown, name)
		}
	}
	a.api.deadNodes.Write(silent, unknown)
}
