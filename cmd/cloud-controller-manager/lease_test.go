package main

import (
	"context"
	"errors"
	"strconv"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestTheLeaseSaysWhyItsHolderCannotWork(t *testing.T) {
	ctx, kube := t.Context(), fake.NewClientset()
	problem := errors.New("Nodes cannot be read: forbidden")
	client := &leaseClient{CoordinationV1Interface: kube.CoordinationV1(), problem: func() error { return problem }}
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

// replica is a process that stands for election for the Lease of a small API, whose versions are the test's.
type replica struct {
	client  *leaseClient
	lock    resourcelock.Interface
	noticed int
}

func newReplica(t *testing.T, kube *fake.Clientset, wentBack string) *replica {
	t.Helper()
	r := &replica{}
	r.client = &leaseClient{CoordinationV1Interface: kube.CoordinationV1(), problem: func() error { return nil }, goneBack: func() { r.noticed++ }, wentBack: wentBack}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, "kube-system", "lease", kube.CoreV1(), r.client, resourcelock.ResourceLockConfig{Identity: "me"})
	if err != nil {
		t.Fatal(err)
	}
	r.lock = lock
	return r
}

func (r *replica) reads(t *testing.T) {
	t.Helper()
	if _, _, err := r.lock.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) renews(t *testing.T) {
	t.Helper()
	if err := r.lock.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err != nil {
		t.Fatal(err)
	}
}

func TestTheLeaseTellsThatTheAPIHasGoneBack(t *testing.T) {
	version := 10
	kube := fake.NewClientset(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "lease", ResourceVersion: "10"}})
	kube.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		version++
		lease := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		lease.ResourceVersion = strconv.Itoa(version)
		return false, nil, nil // and it is updated
	})
	copied, err := kube.CoordinationV1().Leases("kube-system").Get(t.Context(), "lease", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	restore := func() {
		t.Helper()
		if err := kube.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), copied.DeepCopy(), "kube-system"); err != nil {
			t.Fatal(err)
		}
	}
	want := func(r *replica, noticed int, when string) {
		t.Helper()
		if r.noticed != noticed {
			t.Errorf("%s: noticed %d times, not %d", when, r.noticed, noticed)
		}
		r.noticed = 0
	}

	leader, first, second := newReplica(t, kube, ""), newReplica(t, kube, ""), newReplica(t, kube, "")
	for range 3 {
		leader.reads(t)
		leader.renews(t)
		leader.renews(t)
		first.reads(t)
		second.reads(t)
	}
	for _, r := range []*replica{leader, first, second} {
		want(r, 0, "while nothing happens")
	}

	restore()
	leader.reads(t)
	want(leader, 1, "after what it wrote is lost")
	first.reads(t)
	want(first, 1, "after what it read is lost")
	// The leader starts anew, and so much is written that the other one sees a later version than it had.
	version = 100
	leader = newReplica(t, kube, "2026-12-01T12:00:00Z")
	leader.reads(t)
	leader.renews(t)
	second.reads(t)
	want(second, 1, "after the holder has noticed")
	leader.renews(t)
	leader.reads(t)
	want(leader, 0, "as it has read all anew")

	// One that noticed an earlier time leads, and tells nothing new.
	other := newReplica(t, kube, "2026-11-01T12:00:00Z")
	other.reads(t)
	other.renews(t)
	leader.reads(t)
	want(leader, 0, "as nothing has happened since")
}
