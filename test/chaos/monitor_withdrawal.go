package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// silencing are the kinds of faults by which a node answers nobody on the LAN.
var silencing = []Kind{PowerOff, LinkCut, Mute, Deaf, Partition, Suspend}

// withdrawn finds nodes of which endpoints were withdrawn in a round although nothing has silenced them.
func (r *run) withdrawn(ctx context.Context, round Round, started time.Time) (wrong []finding) {
	events, err := r.Kubernetes().CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Node,reason=EndpointsWithdrawn",
	})
	must(r.t, err)
	for _, event := range events.Items {
		at := event.LastTimestamp.Time
		if at.Before(started.Truncate(time.Second)) || round.silences(event.InvolvedObject.Name) {
			continue
		}
		wrong = append(wrong, finding{at, fmt.Sprintf("%s was taken for dead: %s", event.InvolvedObject.Name, event.Message)})
	}
	return wrong
}

// silences says whether a fault of the round has a node answer nobody.
func (r Round) silences(node string) bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool {
		return slices.Contains(silencing, f.Kind) && slices.ContainsFunc(f.Nodes, func(n int) bool { return fmt.Sprint("n", n) == node })
	})
}
