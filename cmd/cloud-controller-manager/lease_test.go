package main

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestTheLeaseSaysWhyItsHolderCannotWork(t *testing.T) {
	ctx, kube := t.Context(), fake.NewClientset()
	problem := errors.New("Nodes cannot be read: forbidden")
	client := problemClient{kube.CoordinationV1(), func() error { return problem }}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, "kube-system", "lease", kube.CoreV1(), client, resourcelock.ResourceLockConfig{Identity: "me"})
	if err != nil {
		t.Fatal(err)
	}
	says := func(write func(context.Context, resourcelock.LeaderElectionRecord) error, holder string) string {
		t.Helper()
		if err := write(ctx, resourcelock.LeaderElectionRecord{HolderIdentity: holder}); err != nil {
			t.Fatal(err)
		}
		lease, err := kube.CoordinationV1().Leases("kube-system").Get(ctx, "lease", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return lease.Annotations[v1alpha1.AnnotationProblem]
	}
	if got := says(lock.Create, "me"); got != problem.Error() {
		t.Errorf("a new one says %q", got)
	}
	if got := says(lock.Update, ""); got != "" {
		t.Errorf("one that is left says %q", got)
	}
	if got := says(lock.Update, "me"); got != problem.Error() {
		t.Errorf("one that is renewed says %q", got)
	}
	problem = nil
	if got := says(lock.Update, "me"); got != "" {
		t.Errorf("one whose holder works says %q", got)
	}
}
