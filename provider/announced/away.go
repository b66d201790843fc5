package announced

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// restartPause is how long the Pod of an announcer may be not ready before its Announcer is made to say so: an announcer
// that is killed is back in less. One that has said that it stops may take plan.RestartGrace: an upgrade pulls an image.
const restartPause = 5 * time.Second

// absence is why an announcer is not there to speak for itself, as Kubernetes says.
type absence struct {
	// reason is that of the conditions, and ready what the condition Ready becomes; the others become Unknown.
	reason string
	ready  metav1.ConditionStatus
	// since when Kubernetes says so; zero if it does not say.
	since   metav1.Time
	message string
	// pause is how long it must have been so before it is told.
	pause time.Duration
}

// noticed is an absence that a Controller has come upon.
type noticed struct {
	absence
	// at is since when, by its own clock, the Announcer does not say so, and told says that it was made to.
	at   time.Time
	told bool
}

// absenceOf finds out whether the announcer of a node is away. The other announcers know first, where they record it. A node that is
// not Ready for another reason than that it is unreachable says so itself, and what it says of its Pods is not relied upon.
func (e *evaluator) absenceOf(node string) (a absence, away bool) {
	const before = " What the rest of this status says was so before."
	if verdict, dead := e.dead[node]; dead {
		return absence{
			reason: v1alpha1.ReasonNodeUnreachable, ready: metav1.ConditionUnknown,
			message: verdict.Sentence() + before,
		}, true
	}
	if since := e.unreachableSince(node); !since.IsZero() {
		return absence{
			reason: v1alpha1.ReasonNodeUnreachable, ready: metav1.ConditionUnknown, since: since,
			message: "The Node is unreachable: its condition Ready is Unknown." + before,
		}, true
	}
	if !e.podsKnown || e.nodes[node] == nil || !e.view.NodeReady(node) {
		return absence{}, false
	}
	pod, down := e.podDown(node)
	if !down {
		return absence{}, false
	}
	why, since := noPod, metav1.Time{}
	if pod != nil {
		why, since = whyPodDown(pod), containersReady(pod).LastTransitionTime
	}
	a = absence{
		reason: v1alpha1.ReasonAnnouncerDown, ready: metav1.ConditionFalse, since: since,
		message: "The announcer does not run: " + why + "." + before, pause: restartPause,
	}
	if readyReason(e.announcers[node]) == v1alpha1.ReasonStopped {
		if pod == nil { // it is not meant to run
			return absence{}, false
		}
		a.message, a.pause = "The announcer was stopped, and does not run again: "+why+"."+before, plan.RestartGrace
	}
	return a, true
}

// setRecord takes in which nodes the announcer of a node takes for dead; nil if it records nothing any more.
func (e *evaluator) setRecord(name types.NamespacedName, lease *coordinationv1.Lease) {
	if lease == nil {
		delete(e.records, name.Name)
		return
	}
	e.records[name.Name] = deadnodes.Of(lease)
}

// judgeNodes finds out which nodes are dead by the word of the announcers.
func (e *evaluator) judgeNodes() {
	e.dead = nil
	if len(e.records) == 0 {
		return
	}
	records := make(map[string]deadnodes.Record, len(e.announcers))
	for name := range e.announcers {
		records[name] = e.records[name]
	}
	e.dead = deadnodes.Verdicts(records, func(node string) bool { return e.nodes[node] != nil })
}

// unreachableSince is since when a Node has been unreachable: Kubernetes says so when its kubelet has
// been silent for some time. Zero if it is not.
func (e *evaluator) unreachableSince(node string) (since metav1.Time) {
	object := e.nodes[node]
	if object == nil {
		return metav1.Time{}
	}
	for _, c := range object.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown {
			return c.LastTransitionTime
		}
	}
	return metav1.Time{}
}

// unreachable says whether an Announcer says that its node is.
func unreachable(announcer *v1alpha1.Announcer) bool {
	return readyReason(announcer) == v1alpha1.ReasonNodeUnreachable
}

// down says whether there is an Announcer that does not run, on a node that does: it says that it was
// stopped, or was made to say that it is down.
func down(announcer *v1alpha1.Announcer) bool {
	reason := readyReason(announcer)
	return reason == v1alpha1.ReasonStopped || reason == v1alpha1.ReasonAnnouncerDown
}

// whyDown ends a sentence about an announcer that does not run.
func whyDown(announcer *v1alpha1.Announcer) string {
	if readyReason(announcer) == v1alpha1.ReasonStopped {
		return "was stopped"
	}
	return "is down"
}

// readyReason is the reason of an Announcer's condition Ready; "" if there is none.
func readyReason(announcer *v1alpha1.Announcer) string {
	if announcer == nil {
		return ""
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return ready.Reason
}

// isNews says whether an Announcer would say something truer if it were made to say this. What an announcer has said itself of its
// trouble is truer than that it is down.
func (a absence) isNews(announcer *v1alpha1.Announcer) bool {
	switch reason := readyReason(announcer); {
	case len(announcer.Status.Conditions) == 0, reason == a.reason:
		return false
	case reason == v1alpha1.ReasonStopped:
		return a.reason == v1alpha1.ReasonAnnouncerDown
	case a.reason == v1alpha1.ReasonAnnouncerDown:
		return unreachable(announcer) || meta.IsStatusConditionTrue(announcer.Status.Conditions, v1alpha1.ConditionReady)
	}
	return true
}

// markAway has the Announcers say so whose announcers cannot, and reports whether all that could be written was, and when time alone
// will have something written. That is done once for each absence. An announcer that runs nevertheless writes its status anew, and
// is believed.
func (c *Controller) markAway(ctx context.Context, now time.Time) (again time.Time, done bool) {
	e := c.evaluator
	done = true
	for _, name := range slices.Sorted(maps.Keys(e.announcers)) {
		announcer := e.announcers[name]
		found, away := e.absenceOf(name)
		if !away {
			delete(c.away, name)
			continue
		}
		a := c.away[name]
		news := found.isNews(announcer)
		if a == nil || a.reason != found.reason || !a.since.Equal(&found.since) || a.pause != found.pause && !a.told {
			if !news {
				delete(c.away, name)
				continue
			}
			a = &noticed{at: now}
			c.away[name] = a
		}
		a.absence = found
		switch due := a.at.Add(a.pause); {
		case a.told:
		case !news:
			delete(c.away, name)
		case due.After(now):
			again = plan.Earlier(again, due)
		default:
			err := c.markAs(ctx, announcer, a)
			done = status.Written(ctx, err, announcer) && done
		}
	}
	maps.DeleteFunc(c.away, func(name string, _ *noticed) bool { return e.announcers[name] == nil })
	return again, done
}

// markAs has an Announcer say that it is away.
func (c *Controller) markAs(ctx context.Context, announcer *v1alpha1.Announcer, a *noticed) error {
	patch, err := json.Marshal(a.patch(announcer, metav1.NewTime(a.at)))
	if err != nil {
		return err
	}
	if _, err = c.Clarion.ClarionV1alpha1().Announcers().Patch(ctx, announcer.Name, types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	a.told = true
	c.Logger.Info("An announcer cannot speak for itself", "node", announcer.Name, "reason", a.reason, "why", a.message)
	return nil
}

// patch sets the conditions of an Announcer and takes its summary away. It is refused if the announcer has written since: nothing
// of what it has to say is lost.
func (a absence) patch(announcer *v1alpha1.Announcer, at metav1.Time) []map[string]any {
	conditions := slices.Clone(announcer.Status.Conditions)
	for _, before := range announcer.Status.Conditions {
		set := metav1.Condition{Type: before.Type, Status: metav1.ConditionUnknown, Reason: a.reason, Message: a.message, LastTransitionTime: at}
		if before.Type == v1alpha1.ConditionReady {
			set.Status = a.ready
		}
		meta.SetStatusCondition(&conditions, set)
	}
	patch := []map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": announcer.ResourceVersion},
		{"op": "replace", "path": "/status/conditions", "value": conditions},
	}
	if announcer.Status.Summary != nil {
		patch = append(patch, map[string]any{"op": "remove", "path": "/status/summary"})
	}
	return patch
}
