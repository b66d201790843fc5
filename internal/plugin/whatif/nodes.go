package whatif

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// WithDrained is a Snapshot in which these nodes are drained. It fails if one does not exist.
func WithDrained(taken *snapshot.Snapshot, names ...string) (*snapshot.Snapshot, error) {
	after := taken.Clone()
	for _, name := range names {
		node := snapshot.Find(after.Nodes, "", name)
		if node == nil {
			return nil, fmt.Errorf("there is no Node %s", name)
		}
		metav1.SetMetaDataAnnotation(&node.ObjectMeta, v1alpha1.AnnotationDrain, "true")
	}
	return after, nil
}

// WithFailed is a Snapshot in which these nodes have lost their power: their announcers are dead, they are not Ready, and the endpoints
// on them serve nobody. It fails if one does not exist.
func WithFailed(taken *snapshot.Snapshot, names ...string) (*snapshot.Snapshot, error) {
	after := taken.Clone()
	for _, name := range names {
		node := snapshot.Find(after.Nodes, "", name)
		if node == nil {
			return nil, fmt.Errorf("there is no Node %s", name)
		}
		setReady(node, corev1.ConditionUnknown)
		for _, slice := range after.EndpointSlices {
			failEndpoints(slice, name)
		}
	}
	return after, nil
}

func setReady(node *corev1.Node, status corev1.ConditionStatus) {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == corev1.NodeReady {
			node.Status.Conditions[i].Status = status
			return
		}
	}
	node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: status})
}

func failEndpoints(slice *discoveryv1.EndpointSlice, node string) {
	for i := range slice.Endpoints {
		if e := &slice.Endpoints[i]; e.NodeName != nil && *e.NodeName == node {
			e.Conditions.Ready, e.Conditions.Serving = new(false), new(false)
		}
	}
}
