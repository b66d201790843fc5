package announce

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// status is what the node says of itself, besides what is planned.
type status struct {
	// conditions are those of the Announcer, at first as the API has them, so that they keep the
	// times of their transitions.
	conditions []metav1.Condition
	// types are those of the conditions that this process has set.
	types map[string]bool
	// keyProblem is why the gossip's key in the API cannot be used; "" if it can.
	keyProblem string
	// kernelProblems adds to what a running announcer says that the kernel does not do for it.
	kernelProblems string
	// failures adds on what the plan failed.
	failures string
	// changed says that something has changed that no plan knows.
	changed bool
}

// currentStatus is what the node's Announcer is to say.
func (a *Announcer) currentStatus(own *v1alpha1.Announcer) v1alpha1.AnnouncerStatus {
	layer2 := a.planner.Status()
	a.status.adopt(own)
	a.setCondition(a.readyCondition(len(layer2.Interfaces) > 0))
	a.setCondition(a.lan.kernel.condition())
	a.setCondition(a.gossipCondition())
	if kubeProxy, known := a.health.Condition(); known {
		a.setCondition(kubeProxy)
	}
	a.status.dropUnset()
	return v1alpha1.AnnouncerStatus{
		Layer2:     layer2,
		Host:       a.lan.kernel.host,
		Conditions: append([]metav1.Condition{}, a.status.conditions...),
	}
}

// adopt takes the conditions that the API has, the first time that it has any.
func (s *status) adopt(own *v1alpha1.Announcer) {
	if s.conditions == nil && own != nil {
		s.conditions = append(s.conditions, own.Status.Conditions...)
		meta.RemoveStatusCondition(&s.conditions, v1alpha1.ConditionRecorded)
	}
}

// setCondition has the node say a condition from now on, and logs one that is new or has become another: a message alone is no change.
func (a *Announcer) setCondition(c metav1.Condition) {
	before := meta.FindStatusCondition(a.status.conditions, c.Type)
	if before == nil || before.Status != c.Status || before.Reason != c.Reason {
		a.logger.Info("A condition of this node has changed", "condition", c.Type, "status", c.Status, "reason", c.Reason, "message", c.Message)
	}
	a.status.set(c)
}

// set takes a condition as it is from now on. The API keeps whole seconds: with anything finer, it
// would seem to have another one.
func (s *status) set(c metav1.Condition) {
	if s.types == nil {
		s.types = map[string]bool{}
	}
	s.types[c.Type] = true
	c.LastTransitionTime = metav1.Now().Rfc3339Copy()
	meta.SetStatusCondition(&s.conditions, c)
}

// dropUnset removes conditions that this process has not set: another version has left them.
func (s *status) dropUnset() {
	s.conditions = slices.DeleteFunc(s.conditions, func(c metav1.Condition) bool { return !s.types[c.Type] })
}

func (a *Announcer) readyCondition(hasInterface bool) metav1.Condition {
	ready := metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonRunning,
		Message: "The announcer announces what falls to its node." + a.status.kernelProblems + a.status.failures + a.status.keySentence(),
	}
	switch drain, drained := a.planner.Drain(); {
	case a.seen.withheld != "":
		ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonIsolated
		ready.Message = "The node " + string(a.seen.withheld) + "."
	case !hasInterface:
		ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonNoInterface
		ready.Message = "No interface of the node is up and has an address, a default route or its name in an L2Advertisement."
	case drained:
		ready.Reason, ready.Message = v1alpha1.ReasonDraining, drain.Sentence()+a.status.keySentence()
	case a.status.keyProblem != "":
		ready.Reason = v1alpha1.ReasonGossipKeyInvalid
	}
	return ready
}

// gossipCondition says whether the gossip of this node reaches the others. Of two nodes that do not hear each other, the one that hears
// fewer has the trouble: otherwise all would write because of the gossip of one.
func (a *Announcer) gossipCondition() metav1.Condition {
	if !a.seen.cutFromGossip {
		return metav1.Condition{
			Type:    v1alpha1.ConditionGossip,
			Status:  metav1.ConditionTrue,
			Reason:  v1alpha1.ReasonConnected,
			Message: "Nothing is known to be wrong with the gossip of this node.",
		}
	}
	return metav1.Condition{
		Type:    v1alpha1.ConditionGossip,
		Status:  metav1.ConditionFalse,
		Reason:  v1alpha1.ReasonBlocked,
		Message: "More announcers answer on the network than the gossip of this node sees: is its port blocked, TCP or UDP?",
	}
}

// setKernelProblems takes sentences about what the kernel does not do; "" if it does all.
func (s *status) setKernelProblems(sentences string) {
	s.changed = s.changed || sentences != s.kernelProblems
	s.kernelProblems = sentences
}

// setFailures takes what the plan failed on, for a fault of the program.
func (s *status) setFailures(failures []plan.Failure) {
	sentence := ""
	const most = 5
	for i, f := range failures[:min(len(failures), most)] {
		sentence += ", " + f.On()
		if i == most-1 && len(failures) > most {
			sentence += fmt.Sprintf(" and %d more", len(failures)-most)
		}
	}
	if sentence != "" {
		sentence = " A fault of Clarion's keeps it from deciding about " + sentence[2:] + ": what was announced stays so. Please report it with the log."
	}
	s.changed = s.changed || sentence != s.failures
	s.failures = sentence
}

// keySentence adds to what a running announcer says that it cannot use the key that there is.
func (s *status) keySentence() string {
	if s.keyProblem == "" {
		return ""
	}
	return " It gossips with the key that it had before, since the present one cannot be used: " + s.keyProblem + "."
}

// reportKeyProblem takes note of whether the gossip's key can be used.
func (a *Announcer) reportKeyProblem(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != a.status.keyProblem {
		a.logger.Info("Whether the key of the gossip can be used has changed", "problem", problem)
		a.status.keyProblem, a.status.changed = problem, true
	}
}

// reportWaiting has the Announcer say that the node waits for a key that can be used.
func (a *Announcer) reportWaiting() {
	if a.status.keyProblem != "" {
		a.reportHeldUp(v1alpha1.ReasonGossipKeyInvalid,
			"The announcer waits for a key of the gossip that it can use, and announces nothing: "+a.status.keyProblem+".")
	}
}

// reportHeldUp has the Announcer say why it does not begin. The claims stay as they are in the API.
func (a *Announcer) reportHeldUp(reason, message string) {
	own := a.ownAnnouncer()
	if own == nil {
		return
	}
	a.status.adopt(own)
	a.setCondition(metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message})
	waiting := own.Status.DeepCopy()
	waiting.Conditions = append([]metav1.Condition{}, a.status.conditions...)
	a.api.status.WriteRest(*waiting)
}

// writeStopped writes that the announcer has stopped, if that can be done quickly. Its claims stay:
// whoever takes over goes by them, and so does this node if it is back before anybody has.
func (a *Announcer) writeStopped(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	a.status.set(metav1.Condition{
		Type:    v1alpha1.ConditionReady,
		Status:  metav1.ConditionFalse,
		Reason:  v1alpha1.ReasonStopped,
		Message: "The announcer was stopped.",
	})
	if err := a.api.status.WriteStopped(ctx, a.status.conditions); err != nil {
		a.logger.Error(err, "Could not write that this announcer has stopped")
	}
}
