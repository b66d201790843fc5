package main

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// After a watch that ended with an error, a reflector lists at once, without asking for a watch from where it was.
func TestWhateverMakesThePodsBeListedHasThemAskedForAnew(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, k *kubelet, p *podRun) error
	}{
		{"a list", func(ctx context.Context, k *kubelet, _ *podRun) error {
			_, err := pods(k).ListWithContext(ctx, metav1.ListOptions{})
			return err
		}},
		{"a watch that lists", func(ctx context.Context, k *kubelet, _ *podRun) error {
			_, err := pods(k).WatchWithContext(ctx, metav1.ListOptions{SendInitialEvents: ptr.To(true)})
			return err
		}},
		{"an older version", func(_ context.Context, _ *kubelet, p *podRun) error {
			p.update(versionOf("3"))
			return nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKubelet(options{NodeName: "n1"}, fake.NewClientset(versionOf("3")))
			k.logger = logr.Discard()
			p := newPodRun(k, versionOf("7"))
			k.pods[p.object.UID] = &running{podRun: p}
			if held, err := p.holds(t.Context()); err != nil || held.ResourceVersion != "7" {
				t.Fatalf("before: %v, %v", held, err)
			}
			if err := test.do(t.Context(), k, p); err != nil {
				t.Fatal(err)
			}
			if held, err := p.holds(t.Context()); err != nil || held.ResourceVersion != "3" {
				t.Errorf("after: %v, %v", held, err)
			}
		})
	}
}

func pods(k *kubelet) cache.ListerWatcherWithContext {
	return cache.ToListerWatcherWithContext(k.podsAnew())
}

func versionOf(revision string) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "p", UID: "0123456789", ResourceVersion: revision}}
}
