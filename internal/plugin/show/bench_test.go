package show

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// BenchmarkStatus has what the verb status costs once everything is read: the State, and of each Service whether all is well with it.
// With ten times the Services, each of which has an event, it is to cost ten times as much.
func BenchmarkStatus(b *testing.B) {
	for _, services := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			taken := snapshot.Of(fixture.Large(time.Now(), services)...)
			for _, s := range taken.Services {
				taken.Events = append(taken.Events, &corev1.Event{
					ObjectMeta:     metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
					InvolvedObject: corev1.ObjectReference{Kind: "Service", Namespace: s.Namespace, Name: s.Name},
					Type:           corev1.EventTypeWarning,
				})
			}
			for b.Loop() {
				statusOf(taken.State())
			}
		})
	}
}
