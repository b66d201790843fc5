package rollback

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// server is an API server with Services alone, over an etcd that has the revision of each write.
type server struct {
	mu sync.Mutex
	etcd
	down    bool
	answers answers
	// lists is how often all Services were listed.
	lists   int
	refused chan struct{} // closed when that is refused for the first time
	asked   int           // how often it was asked for the Node
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
	return &server{etcd: etcd{10, map[string]int{}, 10}, refused: make(chan struct{})}
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
	select {
	case <-s.refused:
		return true
	case <-time.After(time.Minute):
		return false
	}
}

// answers are how requests for lists are answered. Watches and writes are allowed all the time.
type answers int

const (
	lists answers = iota
	refuses
	isBusy
)

// toLists has requests for lists be answered so from now on.
func (s *server) toLists(answer answers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answer
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
	case s.answers == isBusy:
		return answer(r, http.StatusTooManyRequests, status(metav1.StatusReasonTooManyRequests, http.StatusTooManyRequests, "")), nil
	case s.answers == refuses:
		select {
		case <-s.refused:
		default:
			close(s.refused)
		}
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
