package rollback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
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
	"k8s.io/apimachinery/pkg/types"
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

// watchNodes has the client watch Nodes, too.
func (w *world) watchNodes() {
	w.shared.Core().V1().Nodes().Informer()
	w.shared.Start(w.ctx.Done())
	w.after(time.Second)
}

// writeNode has the client write the Node.
func (w *world) writeNode(t *testing.T) {
	t.Helper()
	node, err := w.client.CoreV1().Nodes().Patch(w.ctx, "n1", types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
	if err != nil || node.Name != "n1" {
		t.Fatalf("wrote the Node: %v, %v", node, err)
	}
}

// TestWhatWasWrittenAndIsLostTellsOfTheRestore has more be written than was lost before anybody asks, so that no revision tells of it.
func TestWhatWasWrittenAndIsLostTellsOfTheRestore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		watched bool
		written bool // by the client, since the copy was made
		down    time.Duration
		noticed int
	}{
		{"after an outage that is longer than any watch", true, true, 20 * time.Minute, 1},
		{"although the API server was asked too late to be away", true, true, 0, 1},
		{"if nothing was written, nothing is known", true, false, time.Minute, 0},
		{"what is not watched may not be asked for", false, true, time.Minute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if tt.watched {
					w.watchNodes()
				}
				w.writeNode(t)
				copied := w.server.copy()
				w.server.write("ghost")
				if tt.written {
					w.writeNode(t)
				}
				w.after(time.Second)
				w.take()
				w.server.setDown(true)
				w.after(tt.down)
				w.server.restore(copied)
				for range 10 {
					w.server.write("new")
				}
				w.server.setDown(false)
				w.after(time.Minute)
				if got := w.take(); strings.Contains(got, "gone ghost") != (tt.noticed > 0) || w.noticed != tt.noticed {
					t.Errorf("noticed %d times, and the informer told: %q", w.noticed, got)
				}
				w.server.breakWatches() // it is known by now
				w.after(time.Minute)
				if w.noticed != tt.noticed {
					t.Errorf("noticed %d times in the end", w.noticed)
				}
			})
		})
	}
}

func TestWatchesThatEndInTimeCostNoMoreQuestions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.watchNodes()
		w.writeNode(t)
		for range 3 {
			w.after(20 * time.Minute) // a watch is to last no longer than ten
			w.server.breakWatches()
			w.after(time.Minute)
		}
		if w.server.asked != 0 || w.noticed != 0 {
			t.Errorf("asked %d times for what was written, and noticed %d restores", w.server.asked, w.noticed)
		}
	})
}

func TestTheVersionOfAnObjectIsFoundBeforeAnythingElse(t *testing.T) {
	for body, want := range map[string]string{
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","resourceVersion":"7"},"status":{}}`: "7",
		`{"status":{"metadata":{"resourceVersion":"8"}},"metadata":{"resourceVersion":"7"}}`:           "7",
		`{"metadata":{"resourceVersion":"7"},"status":`:                                                "7",
		`{"kind":"Status"}`:              "",
		`{"metadata":{}}`:                "",
		`{"metadata":7}`:                 "",
		`{"metadata"`:                    "",
		`[]`:                             "",
		``:                               "",
		`{"kind":}`:                      "",
		`{"metadata":{"labels":{"a":1}}`: "",
	} {
		if got := revisionIn([]byte(body)); got != want {
			t.Errorf("%s has the version %q, want %q", body, got, want)
		}
	}
}

func TestWhatAClientChangesIsKnownByItsCollection(t *testing.T) {
	for _, tt := range []struct{ method, path, collection, name string }{
		{http.MethodPatch, "/apis/clarionlb.io/v1alpha1/announcers/n1/status", "/apis/clarionlb.io/v1alpha1/announcers", "n1"},
		{http.MethodPut, "/apis/clarionlb.io/v1alpha1/announcers/n1", "/apis/clarionlb.io/v1alpha1/announcers", "n1"},
		{http.MethodGet, "/apis/clarionlb.io/v1alpha1/announcers/n1", "", ""},
		{http.MethodPost, "/apis/clarionlb.io/v1alpha1/announcers", "", ""},
		{http.MethodPatch, "/api/v1/namespaces/default/services/web/status", "", ""},
	} {
		request, err := http.NewRequest(tt.method, "http://api"+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if collection, name, changes := changed(request); changes != (tt.name != "") || changes && (collection != tt.collection || name != tt.name) {
			t.Errorf("%s %s changes %q of %q: %t", tt.method, tt.path, name, collection, changes)
		}
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
		w.server.forbid(true)
		w.server.setDown(false)
		if !w.server.awaitRefusal() {
			t.Error("nobody asks")
		}
		w.server.forbid(false)
		w.after(15 * time.Second)
		if got := w.take(); got != "gone ghost" {
			t.Errorf("the informer told: %q", got)
		}
	})
}

func TestWhoMayNotListIsNotGuarded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.forbid(true)
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

// server is an API server with Services alone, over an etcd that has the revision of each write.
type server struct {
	mu sync.Mutex
	etcd
	down, forbidden bool
	// lists is how often all Services were listed.
	lists   int
	refused int // how often it was refused
	asked   int // how often it was asked for the Node
	watches []*serverWatch
}

// serverWatch tells what is written after a revision, in order.
type serverWatch struct {
	from   int
	events chan string
}

type etcd struct {
	revision int
	services map[string]int
	// node is the version of a Node, which the client writes itself.
	node int
}

func newServer() *server {
	return &server{etcd: etcd{10, map[string]int{}, 10}}
}

// copy is what a snapshot has.
func (s *server) copy() etcd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return etcd{s.revision, maps.Clone(s.services), s.node}
}

func (s *server) restore(copied etcd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.etcd = etcd{copied.revision, maps.Clone(copied.services), copied.node}
}

func (s *server) setDown(down bool) {
	s.breakWatches()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// awaitRefusal waits until a list was refused, or for a minute of simulated time; false if none was.
func (s *server) awaitRefusal() bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s.mu.Lock()
		refused := s.refused > 0
		s.mu.Unlock()
		if refused {
			return true
		}
	}
	return false
}

// forbid has lists refused, or allowed again. Watches are allowed.
func (s *server) forbid(forbidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden = forbidden
}

func (s *server) breakWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watches {
		close(w.events)
	}
	s.watches = nil
}

func (s *server) write(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	kind := "MODIFIED"
	if s.services[name] == 0 {
		kind = "ADDED"
	}
	s.services[name] = s.revision
	s.tell(kind, name, s.revision)
}

func (s *server) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	delete(s.services, name)
	s.tell("DELETED", name, s.revision)
}

// tell tells the watches that wait for no later revision.
func (s *server) tell(kind, name string, revision int) {
	for _, w := range s.watches {
		w.tell(kind, name, revision)
	}
}

func (w *serverWatch) tell(kind, name string, revision int) {
	if revision > w.from {
		w.events <- fmt.Sprintf(`{"type":%q,"object":%s}`, kind, object(name, revision))
	}
}

// serve writes events until the watch is broken.
func (w *serverWatch) serve(to *io.PipeWriter) {
	for event := range w.events {
		io.WriteString(to, event)
	}
	to.Close()
}

func object(name string, revision int) string {
	return fmt.Sprintf(`{"kind":"Service","apiVersion":"v1","metadata":{"name":%q,"namespace":"default","resourceVersion":"%d"}}`, name, revision)
}

// nodes is the path of the collection of Nodes.
const nodes = "/api/v1/nodes"

// RoundTrip answers lists and watches as a kube-apiserver does.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	query, from := r.URL.Query(), 0
	fmt.Sscan(query.Get("resourceVersion"), &from)
	switch {
	case r.Method == http.MethodPatch && r.URL.Path == nodes+"/n1/status":
		s.revision++
		s.node = s.revision
		return answer(r, http.StatusOK, fmt.Sprintf(`{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1","resourceVersion":"%d"},"status":{}}`, s.node)), nil
	case query.Get("sendInitialEvents") == "true": // one that does not know these
		return answer(r, http.StatusUnprocessableEntity, status(metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "")), nil
	case query.Get("watch") == "true":
		reader, writer := io.Pipe()
		w := &serverWatch{from, make(chan string, 100)}
		if r.URL.Path == nodes {
			w.from = math.MaxInt // nothing is told of the Node
		}
		s.watches = append(s.watches, w)
		go w.serve(writer)
		for name, revision := range s.services {
			w.tell("ADDED", name, revision)
		}
		response := answer(r, http.StatusOK, "")
		response.Body = reader
		return response, nil
	case s.forbidden:
		s.refused++
		return answer(r, http.StatusForbidden, status(metav1.StatusReasonForbidden, http.StatusForbidden, "")), nil
	case from > s.revision:
		return answer(r, http.StatusGatewayTimeout, status(metav1.StatusReasonTimeout, http.StatusGatewayTimeout, metav1.CauseTypeResourceVersionTooLarge)), nil
	case r.URL.Path == nodes:
		if query.Get("fieldSelector") == "metadata.name=n1" {
			s.asked++
		}
		return answer(r, http.StatusOK, fmt.Sprintf(`{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},
			"items":[{"metadata":{"name":"n1","resourceVersion":"%d"}}]}`, s.revision, s.node)), nil
	case query.Get("limit") != "1":
		s.lists++
	}
	var items []string
	for name, revision := range s.services {
		items = append(items, object(name, revision))
	}
	return answer(r, http.StatusOK, fmt.Sprintf(`{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[%s]}`,
		s.revision, strings.Join(items, ","))), nil
}

func status(reason metav1.StatusReason, code int, cause metav1.CauseType) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"details":{"causes":[{"reason":%q}]}}`, reason, code, cause)
}

func answer(r *http.Request, code int, body string) *http.Response {
	return &http.Response{
		Status: http.StatusText(code), StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}
}
