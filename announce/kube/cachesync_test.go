package kube

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
)

// lagging is an API server whose state of Announcers is at a version, and a cache that is at an
// earlier one.
type lagging struct {
	mu            sync.Mutex
	server, cache int
	down          bool
	// lists counts those that were answered.
	lists int
}

func (l *lagging) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func at(version int) *v1alpha1.Announcer {
	return &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n2", ResourceVersion: strconv.Itoa(version)}}
}

func (l *lagging) Announcer(string) *v1alpha1.Announcer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cache == 0 {
		return nil
	}
	return at(l.cache)
}

// client is that of the API server.
func (l *lagging) client() clients.AnnouncerInterface {
	clientset := clarionfake.NewSimpleClientset()
	clientset.PrependReactor("*", "announcers", func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.down {
			return true, nil, apierrors.NewServiceUnavailable("down")
		}
		if action.GetVerb() == "get" {
			return true, at(l.server), nil
		}
		l.lists++
		if l.server == 0 {
			return true, &v1alpha1.AnnouncerList{}, nil
		}
		return true, &v1alpha1.AnnouncerList{Items: []v1alpha1.Announcer{*at(l.server)}}, nil
	})
	return clientset.ClarionV1alpha1().Announcers()
}

func TestACacheHasCaughtUpWhenItHasWhatTheAPIServerHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lagging{server: 9, down: true}
		c := NewCacheSync(l.client(), l)
		ctx, cancel := context.WithCancel(t.Context())
		expect := func(when string, synced, news bool) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			told := false
			select {
			case <-c.Changed():
				told = true
			default:
			}
			if told != news {
				t.Errorf("%s: there is news: %t", when, told)
			}
			if is := c.Synced(ctx); is != synced {
				t.Errorf("%s: synced: %t", when, is)
			}
		}
		expect("not asked for yet", false, false)
		expect("without an API server", false, false)
		l.set(func() { l.down = false })
		expect("with an empty cache", false, false)
		l.set(func() { l.cache = 8 })
		expect("with an old cache", false, false)
		l.set(func() { l.cache = 10 })
		expect("with a cache that is ahead", true, true)
		l.set(func() { l.server = 11 })
		expect("later", true, false)
		c.Reset()
		expect("asked anew", false, false)
		c.Reset()
		synctest.Wait()
		l.set(func() { l.cache = 11 })
		expect("asked anew, before it is asked", false, false)
		expect("and after", true, true)
		c.Reset()
		l.set(func() { l.down = true })
		expect("when it is to end", false, false)
		cancel()
		c.Wait()
	})
}

func TestTheAPIServerIsAskedOnceHoweverLongTheCacheTakes(t *testing.T) {
	for name, tt := range map[string]struct {
		cached, server int
		after          func(l *lagging)
		lists          int
	}{
		"the cache has all":                   {9, 9, func(*lagging) {}, 1},
		"the watch is late":                   {8, 9, func(l *lagging) { l.cache = 9 }, 1},
		"others write on":                     {8, 9, func(l *lagging) { l.cache, l.server = 10, 20 }, 1},
		"the API server was down":             {8, 9, func(l *lagging) { l.down = false; l.cache = 9 }, 1},
		"what was there is deleted meanwhile": {8, 9, func(l *lagging) { l.cache, l.server = 0, 0 }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lagging{server: tt.server, cache: tt.cached}
				l.down = name == "the API server was down"
				c := NewCacheSync(l.client(), l)
				ctx, cancel := context.WithCancel(t.Context())
				defer c.Wait()
				defer cancel()
				c.Synced(ctx)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				l.set(func() { tt.after(l) })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if !c.Synced(ctx) || l.lists != tt.lists {
					t.Errorf("synced: %t, with %d lists, want %d", c.Synced(ctx), l.lists, tt.lists)
				}
			})
		})
	}
}

func TestAnAPIServerAnswersOrNot(t *testing.T) {
	l := &lagging{server: 1}
	if !Answers(t.Context(), l.client(), "n2") {
		t.Error("it is there and does not answer")
	}
	l.down = true
	if Answers(t.Context(), l.client(), "n2") {
		t.Error("it is down and answers")
	}
}
