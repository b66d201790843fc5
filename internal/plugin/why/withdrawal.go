package why

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// ReasonDead : the announcers take a node for dead, and nothing is known to be done about its endpoints.
const ReasonDead = "Dead"

// Withdrawal says by whose word a node is dead, and what has become of its endpoints; nil if it is not, or if nobody records it. It is
// what the cloud-controller-manager has said last on the Node since.
func Withdrawal(s *snapshot.State, node string) *Item {
	verdict, dead := s.Announced.Dead(node)
	if !dead {
		return nil
	}
	i := &Item{Name: ReasonDead, Mark: Warning, Sentence: verdict.Sentence() + " That is so since " + verdict.Since.UTC().Format(time.RFC3339) + "."}
	var last *corev1.Event
	for _, e := range s.EventsOn("Node", types.NamespacedName{Name: node}) {
		if !deadnodes.Tells(e.Reason) {
			continue
		}
		// Events have whole seconds.
		if at := snapshot.EventTime(e); !at.Before(verdict.Since.Truncate(time.Second)) && (last == nil || at.After(snapshot.EventTime(last))) {
			last = e
		}
	}
	if last != nil {
		i.Name, i.Sentence = last.Reason, last.Message
	}
	return i
}

// withdrawalLinks has the link of a node that is dead by the word of the announcers.
func withdrawalLinks(s *snapshot.State, node string) []Link {
	i := Withdrawal(s, node)
	if i == nil {
		return nil
	}
	return []Link{{Name: "withdrawal", Mark: i.Mark, Reason: i.Name, Sentence: i.Sentence}}
}
