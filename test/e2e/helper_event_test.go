package e2e

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// fence waits until Clarion has acted on all changes so far and has written their events. It
// creates a Service, which Clarion deals with after all that, and waits for its event.
func (d *deployment) fence() {
	d.t.Helper()
	d.loadBalancer("fence", wish("203.0.113.99"))
	d.awaitEvent("fence", corev1.EventTypeWarning, "AddressNotInPool", "203.0.113.99")
	d.delete("fence")
}

// events counts Clarion's events of a Service by their reason: the API server has its own, about cluster IPs. It leaves
// out that its addresses are not advertised, which comes some seconds later.
func (d *deployment) events(name string) map[string]int32 {
	d.t.Helper()
	counts := map[string]int32{}
	for _, event := range d.listEvents(d.ctx, name) {
		if event.Source.Component == v1alpha1.EventSource && event.Reason != v1alpha1.ReasonNotAdvertised {
			counts[event.Reason] += max(event.Count, 1)
		}
	}
	return counts
}

func (d *deployment) listEvents(ctx context.Context, name string) []corev1.Event {
	d.t.Helper()
	events, err := d.Kubernetes().CoreV1().Events(d.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(d.service(name).UID)).String(),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return events.Items
}

// awaitEvent waits until a Service has an event with some text in its message.
func (d *deployment) awaitEvent(name, eventType, reason, text string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("an event of Service %s with the reason %s", name, reason), func(ctx context.Context) error {
		events := d.listEvents(ctx, name)
		for _, event := range events {
			if event.Type == eventType && event.Reason == reason && strings.Contains(event.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("its events are %v", events)
	})
}
