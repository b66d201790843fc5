package dashboard

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// brokenWatch is a watch of an API server that can go away.
type brokenWatch struct {
	mu      sync.Mutex
	away    error
	streams []*watch.FakeWatcher
}

func (b *brokenWatch) react(clienttesting.Action) (bool, watch.Interface, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return true, nil, b.away
	}
	stream := watch.NewFake()
	b.streams = append(b.streams, stream)
	return true, stream, nil
}

// set has the API server be away, or back if why is nil.
func (b *brokenWatch) set(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = why
	for _, stream := range b.streams {
		stream.Stop()
	}
	b.streams = nil
}

func TestAPageSaysThatTheAPIServerIsAwayAndWhenItIsBack(t *testing.T) {
	kube, nodes := fakeapi.Kube(), &brokenWatch{}
	kube.PrependWatchReactor("nodes", nodes.react)
	gone := fakeapi.Fail(&kube.Fake, "list", "nodes", nil)
	ctx, stop := context.WithCancel(t.Context())
	live, err := snapshot.Watch(ctx, kube, fakeapi.Clarion([]runtime.Object{}...))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, done := New("c", listener), make(chan error)
	go func() { done <- d.Follow(ctx, live) }()
	until := func(what string, holds func(stale string) bool) {
		t.Helper()
		limit := time.After(time.Minute)
		for {
			latest := d.board.latest()
			if latest.state != nil && holds(latest.stale) {
				return
			}
			select {
			case <-latest.replaced:
			case <-limit:
				t.Fatalf("%s is never said, but %q", what, latest.stale)
			}
		}
	}
	until("that all is well", func(stale string) bool { return stale == "" })
	refused := errors.New("connection refused")
	gone.Set(refused)
	nodes.set(refused)
	until("that it is away", func(stale string) bool { return strings.Contains(stale, "nodes cannot be read: connection refused") })
	gone.Set(nil)
	nodes.set(nil)
	until("that it is back", func(stale string) bool { return stale == "" })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
