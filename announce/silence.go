package announce

import (
	"context"

	"github.com/clarionlb/clarion/announce/plan"
)

// recordSilence has it recorded which nodes are silent, of those whose announcers should be in sight and are not, or have no heartbeats any
// more. Whether they have addresses does not matter: they may have endpoints.
func (a *Announcer) recordSilence(ctx context.Context, interfaces []plan.Interface) {
	if a.api.deadNodes == nil || a.others.expected == nil {
		return
	}
	questions := map[string][]plan.Question{}
	for _, name := range a.others.attendance.missing {
		if name != a.node {
			questions[name] = a.planner.NodeQuestions(name, interfaces)
		}
	}
	for name, suspicion := range a.others.watch.suspected {
		if suspicion.silent {
			questions[name] = a.planner.NodeQuestions(name, interfaces)
		}
	}
	a.api.deadNodes.Write(a.others.silence.Update(ctx, questions))
}
