package rollback

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/internal/informer"
)

// world is an API server over an etcd whose copies can be restored, and an informer of Services.
type world struct {
	ctx    context.Context
	server *server
	client kubernetes.Interface
	shared informers.SharedInformerFactory
	// news is what the informer has told, and noticed what the Guard has.
	mu      sync.Mutex
	news    []string
	noticed int
}

func inWorld(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{ctx: ctx, server: newServer()}
		guard := NewGuard(func(string) { w.note(func() { w.noticed++ }) })
		config := &rest.Config{Host: "http://api", Transport: w.server, QPS: -1}
		config.Wrap(guard.Wrap)
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		w.client = client
		shared := informers.NewSharedInformerFactory(client, 0)
		w.shared = shared
		say := func(what string) func(*corev1.Service) {
			return func(s *corev1.Service) { w.note(func() { w.news = append(w.news, what+" "+s.Name) }) }
		}
		informer.Handle(shared.Core().V1().Services().Informer(), informer.Funcs[*corev1.Service]{
			Add: say("new"), Delete: say("gone"),
			Update: func(before, after *corev1.Service) {
				if before.ResourceVersion != after.ResourceVersion {
					say("changed")(after)
				}
			},
		})
		w.server.write("old")
		shared.Start(ctx.Done())
		w.after(time.Second)
		w.take()
		test(w)
		cancel()
		w.server.setDown(true)
		shared.Shutdown()
	})
}

func (w *world) note(what func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what()
}

func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// take returns what the informer has told since the last call, sorted.
func (w *world) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.news
	w.news = nil
	slices.Sort(news)
	return strings.Join(news, ", ")
}

func TestWhatWasLostIsGoneAndTheRestIsNotTouched(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.write("deleted")
		copied := w.server.copy()
		w.server.write("ghost")
		w.server.remove("deleted")
		w.server.write("ghost")
		w.after(time.Second)
		w.take()
		w.server.setDown(true)
		w.after(time.Minute)
		w.server.restore(copied)
		w.server.setDown(false)
		w.server.write("new")
		w.after(15 * time.Second)
		if got, want := w.take(), "gone ghost, new deleted, new new"; got != want {
			t.Errorf("the informer told: %q, want %q", got, want)
		}
		if w.noticed == 0 {
			t.Error("nobody was told")
		}
		w.server.write("later")
		w.after(time.Second)
		if got := w.take(); got != "new later" {
			t.Errorf("afterwards the informer told: %q", got)
		}
	})
}

func TestWhatIsWrittenSoonAfterDoesNotHideIt(t *testing.T) {
	inWorld(t, func(w *world) {
		copied := w.server.copy()
		w.server.write("ghost")
		for range 20 {
			w.server.write("old")
		}
		w.after(time.Second)
		w.take()
		w.server.setDown(true)
		w.after(10 * time.Minute)
		w.server.restore(copied)
		w.server.setDown(false)
		for range 40 { // one write in a second: after 20 s, the future that was lost is reached
			w.server.write("old")
			w.after(time.Second)
		}
		if got := w.take(); !strings.Contains(got, "gone ghost") || strings.Contains(got, "old gone") {
			t.Errorf("the informer told: %q", got)
		}
	})
}

// TestIfOneCollectionHasGoneBackAllAreReadAnew has the collection of Services reach its last revision again before anybody asks, so that
// nothing about it alone tells of the restore.
func TestIfOneCollectionHasGoneBackAllAreReadAnew(t *testing.T) {
	for name, later := range map[string]time.Duration{"before the others go on": 0, "when the others have gone on": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				copied := w.server.copy()
				w.server.write("ghost")
				w.after(time.Second)
				w.take()
				w.server.setDown(true)
				w.server.restore(copied)
				w.server.write("new")
				w.server.setDown(false)
				w.after(later)
				if got := w.take(); got != "" {
					t.Fatalf("the informer told %q before anybody noticed", got)
				}
				for range 2 { // and the second time it is known
					maps := w.client.CoreV1().ConfigMaps("default")
					if _, err := maps.Watch(w.ctx, metav1.ListOptions{ResourceVersion: "1000"}); !apierrors.IsResourceExpired(err) {
						t.Fatalf("the other watch got %v", err)
					}
					w.after(15 * time.Second)
				}
				if got, want := w.take(), "gone ghost, new new"; got != want {
					t.Errorf("the informer told %q, want %q", got, want)
				}
				lists := w.server.lists
				w.server.breakWatches()
				w.after(15 * time.Second)
				w.server.write("later")
				w.after(time.Second)
				if got := w.take(); got != "new later" || w.server.lists != lists {
					t.Errorf("afterwards the informer told %q and listed %d times", got, w.server.lists-lists)
				}
			})
		})
	}
}

func TestAnOutageIsNoRollback(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 3 {
			w.server.setDown(true)
			w.after(time.Minute)
			w.server.setDown(false)
			w.server.write("next")
			w.after(15 * time.Second)
		}
		if got, want := w.take(), "changed next, changed next, new next"; got != want {
			t.Errorf("the informer told: %q, want %q", got, want)
		}
		if w.noticed > 0 {
			t.Error("it was taken for one")
		}
		if w.server.lists > 1 {
			t.Errorf("everything was listed %d times", w.server.lists)
		}
	})
}

// An API server that has just started knows no roles yet, and may allow the watch a moment after it has refused the question.
func TestWhoIsRefusedAtFirstNoticesAfterwards(t *testing.T) {
	inWorld(t, func(w *world) {
		copied := w.server.copy()
		w.server.write("ghost")
		w.server.write("ghost")
		w.after(time.Second)
		w.take()
		w.server.setDown(true)
		w.after(time.Minute)
		w.server.restore(copied)
		w.server.toLists(refuses)
		w.server.setDown(false)
		if !w.server.awaitRefusal() {
			t.Error("nobody asks")
		}
		w.server.toLists(lists)
		w.after(15 * time.Second)
		if got := w.take(); got != "gone ghost" {
			t.Errorf("the informer told: %q", got)
		}
	})
}

func TestWhoMayNotListIsNotGuarded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.toLists(refuses)
		w.server.breakWatches()
		w.after(15 * time.Second)
		w.server.write("next")
		w.after(time.Second)
		if got := w.take(); got != "new next" {
			t.Errorf("the informer told: %q", got)
		}
	})
}

func TestOtherRequestsAreLeftAlone(t *testing.T) {
	for _, url := range []string{
		"http://api/api/v1/services?resourceVersion=99",
		"http://api/api/v1/services?watch=true",
		"http://api/api/v1/services?watch=true&resourceVersion=0",
		"http://api/api/v1/services?watch=true&resourceVersion=x",
		"http://api/api/v1/services?watch=false&resourceVersion=99",
	} {
		got := ""
		next := roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return answer(r, http.StatusOK, `{"metadata":{"resourceVersion":"1"}}`), nil
		})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := NewGuard(func(string) { t.Errorf("%s: gone back", url) }).Wrap(next).RoundTrip(request)
		if err != nil || response.StatusCode != http.StatusOK || got != url {
			t.Errorf("%s: %v, %v, last asked for %s", url, response, err, got)
		}
	}
}

func TestTheQuestionIsAboutWhatIsWatched(t *testing.T) {
	var asked *http.Request
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("watch") == "" {
			asked = r
		}
		return answer(r, http.StatusOK, `{"metadata":{"resourceVersion":"7"}}`), nil
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://api/api/v1/secrets?watch=true&resourceVersion=10&fieldSelector=metadata.name%3Da&labelSelector=b%3Dc&timeoutSeconds=300&allowWatchBookmarks=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer token")
	request.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
	response, err := NewGuard(func(string) {}).Wrap(next).RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusGone {
		t.Fatalf("%v, %v", response, err)
	}
	if got, want := asked.URL.RawQuery, "fieldSelector=metadata.name%3Da&labelSelector=b%3Dc&limit=1"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if asked.Header.Get("Authorization") == "" || !strings.Contains(asked.Header.Get("Accept"), "json") {
		t.Errorf("headers: %v", asked.Header)
	}
	if got := request.Header.Get("Accept"); got != "application/vnd.kubernetes.protobuf" {
		t.Errorf("the watch accepts %s now", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
