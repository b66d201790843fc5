package announced

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/scope"
)

// interrupt has the Service "web" changed just before the next patch of it is carried out.
func (w *world) interrupt(change func(*corev1.Service)) {
	fakeapi.Interrupt(&w.kube.Fake, "patch", corev1.SchemeGroupVersion.WithResource("services"), "default", "web", func(object runtime.Object) {
		change(object.(*corev1.Service))
	})
}

func TestAServiceThatIsHandedOverSaysNothingAnyMore(t *testing.T) {
	giveAway := func(s *corev1.Service) { s.Status.Conditions = nil }
	for _, before := range []string{"the first condition", "another condition"} {
		theirs, ours := served(nil)
		withController(t, theirs, append(ours, layer2), func(w *world) {
			if before == "another condition" {
				w.elect()
			}
			changes, err := w.kube.CoreV1().Services("default").Watch(w.ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			w.interrupt(giveAway)
			if before == "another condition" {
				w.set("n1", claims(one, "eth0"))
			} else {
				w.elect()
			}
			w.after(time.Minute)
			changes.Stop()
			handedOver := false
			for change := range changes.ResultChan() {
				s := change.Object.(*corev1.Service)
				handedOver = handedOver || !scope.Marked(s)
				if handedOver && meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced) != nil {
					t.Errorf("%s is written after the hand-over", before)
				}
			}
			if !handedOver {
				t.Errorf("%s: nothing was written", before)
			}
		})
	}
}

func TestAConditionIsWrittenAlthoughSomebodyElseHasWrittenToTheService(t *testing.T) {
	other := metav1.Condition{Type: "example.com/Other", Status: metav1.ConditionTrue, Reason: "Other"}
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.interrupt(func(s *corev1.Service) { meta.SetStatusCondition(&s.Status.Conditions, other) })
		w.elect()
		if got := w.says(); got != "False Pending: 192.0.2.5 is about to be announced" {
			t.Error(got)
		}
		// Who removes the mark alone, and has it put back, changes nothing.
		var mark metav1.Condition
		w.interrupt(func(s *corev1.Service) {
			mark = *meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
			meta.RemoveStatusCondition(&s.Status.Conditions, mark.Type)
		})
		w.set("n1", claims(one, "eth0"))
		w.after(time.Second)
		w.change(func(s *corev1.Service) {
			if meta.FindStatusCondition(s.Status.Conditions, other.Type) == nil {
				t.Error("what somebody else wrote is lost")
			}
			meta.SetStatusCondition(&s.Status.Conditions, mark)
		})
		w.after(time.Minute)
		if got := w.says(); got != "True Announced: "+onN1 {
			t.Error(got)
		}
	})
}
