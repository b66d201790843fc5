package announced

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/status"
)

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
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonNodeUnreachable
}

// stopped says whether there is an Announcer that says that it was stopped.
func stopped(announcer *v1alpha1.Announcer) bool {
	if announcer == nil {
		return false
	}
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonStopped
}

// markUnreachable has the Announcers of nodes that are unreachable say so, since these cannot, and
// reports whether all that could be written was. That is done once each time that a node becomes
// unreachable. An announcer that runs nevertheless, because only the kubelet is gone, writes its status
// anew, and is believed.
func (c *Controller) markUnreachable(ctx context.Context) bool {
	e, done := c.evaluator, true
	for _, name := range slices.Sorted(maps.Keys(e.announcers)) {
		announcer, since := e.announcers[name], e.unreachableSince(name)
		if since.IsZero() {
			delete(c.marked, name)
			continue
		}
		marked, was := c.marked[name]
		if stopped(announcer) || unreachable(announcer) || was && marked.Equal(&since) || len(announcer.Status.Conditions) == 0 {
			continue
		}
		patch, err := json.Marshal(unreachablePatch(announcer, metav1.Now()))
		if err == nil {
			_, err = c.Clarion.ClarionV1alpha1().Announcers().Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{}, "status")
		}
		if err == nil {
			c.marked[name] = since
			c.Logger.Info("The node of an announcer is unreachable", "node", name, "since", since)
		}
		done = status.Written(ctx, err, announcer) && done
	}
	maps.DeleteFunc(c.marked, func(name string, _ metav1.Time) bool { return e.announcers[name] == nil })
	return done
}

// unreachablePatch sets the conditions of an Announcer to Unknown and takes its summary away. It is
// refused if the announcer has written since: nothing of what it has to say is lost.
func unreachablePatch(announcer *v1alpha1.Announcer, now metav1.Time) []map[string]any {
	conditions := slices.Clone(announcer.Status.Conditions)
	for _, before := range announcer.Status.Conditions {
		meta.SetStatusCondition(&conditions, metav1.Condition{
			Type: before.Type, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNodeUnreachable, LastTransitionTime: now,
			Message: "The Node is unreachable: its condition Ready is Unknown. What the rest of this status says was so before.",
		})
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
