package announced

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

// records has the announcer of a node record that others are dead.
func (w *world) records(voter string, dead ...string) {
	w.Helper()
	record := deadnodes.Record{}
	for _, name := range dead {
		record[name] = time.Now()
	}
	leases := w.kube.CoordinationV1().Leases(deadnodes.Namespace)
	lease := record.Lease(metav1.OwnerReference{Kind: "Node", Name: voter}, time.Now())
	_, err := leases.Update(w.ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(w.ctx, lease, metav1.CreateOptions{})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// withThreeAnnouncers is a cluster of three nodes; n1 announces an address.
func withThreeAnnouncers(t *testing.T, test func(w *world)) {
	theirs, ours := served(nil)
	theirs = append(theirs, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3"}}, announcerPod("n3", true, epoch, runs))
	withController(t, theirs, append(ours, announcer("n3"), layer2), func(w *world) {
		for _, name := range []string{"n1", "n2", "n3"} {
			w.set(name, summarized)
		}
		w.elect()
		test(w)
	})
}

func TestAnAnnouncerSaysWithinASecondThatTheOthersTakeItsNodeForDead(t *testing.T) {
	withThreeAnnouncers(t, func(w *world) {
		w.records("n2", "n1")
		w.after(time.Minute)
		if got := w.announcer("n1"); !meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReady) {
			t.Errorf("one of three says so, and it says %v", got.Status.Conditions)
		}
		w.records("n3", "n1")
		w.after(time.Second)
		got := w.announcer("n1")
		for _, c := range got.Status.Conditions {
			if c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonNodeUnreachable || !strings.Contains(c.Message, "silent for the announcers of n2, n3, 2 of 3") {
				t.Errorf("%s is %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
			}
		}
		if got.Status.Summary != nil {
			t.Errorf("it has the summary %v", got.Status.Summary)
		}
		w.nodeIs("n1", corev1.ConditionUnknown) // Kubernetes notices, too
		w.after(time.Hour)
		if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != 1 {
			t.Errorf("it was written to %d times", n)
		}
	})
}

func TestAnAnnouncerThatTheOthersTakeForDeadAndThatRunsIsBelieved(t *testing.T) {
	withThreeAnnouncers(t, func(w *world) {
		w.records("n2", "n1")
		w.records("n3", "n1")
		w.after(time.Second)
		w.set("n1", summarized) // it writes nevertheless
		w.records("n2", "n1")   // anew, at another time
		w.after(time.Minute)
		if got := w.announcer("n1").Status; got.Summary == nil || !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady) {
			t.Error("it is not believed")
		}
		if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != 1 {
			t.Errorf("it was written to %d times", n)
		}
	})
}

func TestAVerdictThatIsTakenBackCountsAnewTheNextTime(t *testing.T) {
	withThreeAnnouncers(t, func(w *world) {
		for round := 1; round < 3; round++ {
			w.records("n2", "n1")
			w.records("n3", "n1")
			w.after(time.Second)
			if n := fakeapi.Count(&w.clarion.Fake, "patch", "announcers"); n != round {
				t.Errorf("round %d: it was written to %d times", round, n)
			}
			w.records("n2")
			w.set("n1", summarized)
			w.after(time.Second)
		}
	})
}
