package announce

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func (a *Announcer) report(m plan.Move) {
	if m.To == a.config.Node {
		movesMetric.WithLabelValues("gained", string(m.Reason)).Inc()
		a.events.Moved(a.view.ServicesOf(m.Address), m)
		a.config.Logger.Info("Announcing an address", "address", m.Address, "interfaces", m.Interfaces, "reason", m.Reason, "from", m.From)
		return
	}
	movesMetric.WithLabelValues("lost", string(m.Reason)).Inc()
	a.config.Logger.Info("No longer announcing an address", "address", m.Address, "reason", m.Reason, "to", m.To, "why", m.Verdict.Sentence())
}

// status is what the node's Announcer is to say.
func (a *Announcer) status(current *v1alpha1.Announcer) v1alpha1.AnnouncerStatus {
	if a.conditions == nil && current != nil {
		a.conditions = append(a.conditions, current.Status.Conditions...)
		meta.RemoveStatusCondition(&a.conditions, v1alpha1.ConditionRecorded)
	}
	status := v1alpha1.AnnouncerStatus{
		Layer2:  a.planner.Status(),
		Members: v1alpha1.MembersStatus{Alive: int32(len(a.cluster.Alive())), Expected: int32(len(a.peers))},
	}
	condition := metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonRunning,
		Message: a.relays.message("The announcer announces what falls to its node."),
	}
	refuse := func(reason, message string) {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, reason, message
	}
	drain := a.planner.Drain()
	switch {
	case a.isolated:
		refuse(v1alpha1.ReasonIsolated, "The node reaches no other announcer, API server or router.")
	case len(status.Layer2.Interfaces) == 0:
		refuse(v1alpha1.ReasonNoInterface, "No interface of the node is up and has an address, a default route or its name in an L2Advertisement.")
	case drain != "":
		condition.Reason, condition.Message = v1alpha1.ReasonDraining, drain
	}
	meta.SetStatusCondition(&a.conditions, condition)
	quiet := metav1.Condition{
		Type:    v1alpha1.ConditionStrictARP,
		Status:  metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonStrict,
		Message: "The kernel leaves it to the announcers to answer for the addresses of Services.",
	}
	if a.kernel.problem != "" {
		quiet.Status, quiet.Reason, quiet.Message = metav1.ConditionFalse, v1alpha1.ReasonKernelAnswers, a.kernel.problem
	}
	meta.SetStatusCondition(&a.conditions, quiet)
	status.Conditions = append(status.Conditions, a.conditions...)
	return status
}

// writeStopped writes that the announcer has stopped, if that can be done quickly. Its claims stay: whoever takes over goes by
// them, and so does this node if it is back before anybody has.
func (a *Announcer) writeStopped(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	meta.SetStatusCondition(&a.conditions, metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionFalse,
		Reason:  v1alpha1.ReasonStopped,
		Message: "The announcer was stopped.",
	})
	if err := a.writer.WriteConditions(ctx, a.conditions); err != nil {
		a.config.Logger.Error(err, "Could not write that this announcer has stopped")
	}
}
