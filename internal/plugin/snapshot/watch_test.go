package snapshot_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// watching follows an API until the test ends.
func watching(t *testing.T, kube *fake.Clientset) *snapshot.Live {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	pool := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "lan"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.168.1.0/28"}}}
	live, err := snapshot.Watch(ctx, kube, fakeapi.Clarion(pool))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		live.Wait()
	})
	return live
}

// until waits for a change after which something holds.
func until(t *testing.T, live *snapshot.Live, what string, holds func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !holds() {
		select {
		case <-live.Changed():
		case <-limit:
			t.Fatalf("%s is never so", what)
		}
	}
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

func TestALiveSnapshotFollows(t *testing.T) {
	kube := fakeapi.Kube(service("first"))
	live := watching(t, kube)
	if s := live.Snapshot(); len(s.Services) != 1 || len(s.IPAddressPools) != 1 || len(s.Unread) != 0 {
		t.Fatalf("it begins with %d Services, %d pools, without %v", len(s.Services), len(s.IPAddressPools), s.Unread)
	}
	if _, err := kube.CoreV1().Services("default").Create(t.Context(), service("another"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	names := func() (names []string) {
		for _, s := range live.Snapshot().Services {
			names = append(names, s.Name)
		}
		return names
	}
	until(t, live, "the Service that came", func() bool { return slices.Equal(names(), []string{"another", "first"}) })
	if err := kube.CoreV1().Services("default").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, live, "the Service that went", func() bool { return slices.Equal(names(), []string{"another"}) })
}

func TestALiveSnapshotNamesWhatTheCallerMayNotRead(t *testing.T) {
	kube := fakeapi.Kube(service("first"))
	fakeapi.Fail(&kube.Fake, "list", "nodes", apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")))
	fakeapi.Fail(&kube.Fake, "list", "servicecidrs", apierrors.NewNotFound(schema.GroupResource{Resource: "servicecidrs"}, ""))
	s := watching(t, kube).Snapshot()
	var kinds []string
	for _, u := range s.Unread {
		kinds = append(kinds, u.Kind)
	}
	if !slices.Equal(kinds, []string{"nodes", "servicecidrs.networking.k8s.io"}) || len(s.Services) != 1 {
		t.Errorf("unread: %v, and %d Services", kinds, len(s.Services))
	}
}

func TestAWatchOfAnAPIThatDoesNotAnswerFails(t *testing.T) {
	kube := fakeapi.Kube()
	fakeapi.Fail(&kube.Fake, "list", "nodes", errors.New("connection refused"))
	if _, err := snapshot.Watch(t.Context(), kube, fakeapi.Clarion()); err == nil {
		t.Error("it does not say so")
	}
}

func TestALiveSnapshotKeepsOfOtherEventsNothingButTheirName(t *testing.T) {
	event := func(name, kind string) *corev1.Event {
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: name},
			InvolvedObject: corev1.ObjectReference{Kind: kind, Name: "x"}, Message: "m",
		}
	}
	s := watching(t, fakeapi.Kube(event("ours", "Service"), event("theirs", "ReplicaSet"))).Snapshot()
	if len(s.Events) != 1 || s.Events[0].Message != "m" {
		t.Errorf("%v", s.Events)
	}
}
