// Package rollback notices that the API has gone back: that etcd was restored from a copy, and goes on
// with revisions that it has given out before.
//
// An informer does not notice. It watches from the last revision that it has seen, which is one of a
// future that was lost, and the API server waits silently until that comes again. So the informer keeps
// what was created since the copy was made, for ever, and misses what changes now. An etcd that is
// restored with --bump-revision has no such problem.
package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Guard is in the way of requests to the API server. Before each watch that goes on from a revision it
// asks which revision the collection has now, by a list of one object. If that is an earlier one, it
// answers the watch itself: the revision has expired (410), by which an informer lists all objects anew,
// and goes on with those that there are. An API server that cannot be reached is asked until it can, so
// that little is written before the question. If one collection has gone back, all have: all watches end, and none goes on from what
// was seen before.
//
// More may have been written before the question than was lost. So after a watch that has ended before its time, the Guard also asks for
// the object that was last written through it, if it is one of those that are watched: the API has it in an earlier version then. It asks
// before the watch goes on, and before such an object is written again. That write fails if there is no answer.
type Guard struct {
	// noticed is called with the path of a collection that has gone back, once for each restore.
	noticed  func(path string)
	eras     *eras
	written  written
	watching watching
	refusals refusals
}

// NewGuard returns a Guard that calls a function, from any goroutine, whenever it notices that a
// collection has gone back, of which the function gets the path.
func NewGuard(noticed func(path string)) *Guard {
	return &Guard{noticed: noticed, eras: newEras(), watching: watching{last: map[string]*lastWatch{}}, refusals: refusals{since: map[string]time.Time{}}}
}

// Wrap puts the Guard before a transport. It is a transport.WrapperFunc of client-go.
func (g *Guard) Wrap(next http.RoundTripper) http.RoundTripper { return &guarded{g, next} }

type guarded struct {
	guard *Guard
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	from := resumedFrom(request)
	era, counts := g.guard.eras.reads(request, from == "")
	if !counts {
		return expired(request, "the API has gone back: "+request.URL.Path+" was read before that"), nil
	}
	if err := g.beforeWrite(request, era); err != nil {
		return nil, err
	}
	if from == "" {
		return g.pass(request, era)
	}
	early := g.guard.watching.endedEarly(request)
	now, err := g.await(request, selectorsOf(request))
	if err != nil {
		return nil, err
	}
	// What is no number cannot be compared, and is left to the API server.
	order, err := resourceversion.CompareResourceVersion(now.ResourceVersion, from)
	back := err == nil && order < 0
	if !back && early {
		if back, err = g.lostWritten(request); err != nil {
			return nil, err
		}
	}
	if !back {
		return g.pass(request, era)
	}
	g.guard.goneBack(era, request.URL.Path)
	return expired(request, fmt.Sprintf("the API has gone back: %s is at revision %s and was at %s", request.URL.Path, now.ResourceVersion, from)), nil
}

// beforeWrite asks, before an object is written whose collection is not watched at present, whether the API has gone back. An error means that
// there was no answer.
func (g *guarded) beforeWrite(request *http.Request, in era) error {
	collection, _, changes := changed(request)
	if !changes {
		return nil
	}
	ctx, cancel := context.WithTimeout(request.Context(), askTimeout) // a write may have all the time in the world
	defer cancel()
	read := reading(ctx, request, collection)
	if !g.guard.watching.endedEarly(read) {
		return nil
	}
	lost, err := g.lostWritten(read)
	if lost {
		g.guard.goneBack(in, collection)
	}
	return err
}

// goneBack ends an era, in which a collection was found to have gone back, unless it has ended already.
func (g *Guard) goneBack(in era, path string) {
	if g.eras.close(in) {
		g.written.forget()
		g.noticed(path)
	}
}

// pass passes a request on. A watch ends with the era in which it was read.
func (g *guarded) pass(request *http.Request, in era) (*http.Response, error) {
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	if !watches(request) {
		g.guard.written.note(request, response)
		return response, nil
	}
	g.guard.watching.begins(request, response)
	return in.within(response), nil
}

// lostWritten asks whether what was written last, of a collection that is read, was lost. An error means that the request's context has
// ended.
func (g *guarded) lostWritten(read *http.Request) (bool, error) {
	return g.guard.written.lost(read.URL.Path, func(name string) (*metav1.PartialObjectMetadataList, error) {
		return g.await(read, url.Values{"fieldSelector": {"metadata.name=" + name}})
	})
}

// watches says whether a request is a watch.
func watches(request *http.Request) bool {
	watch := request.URL.Query().Get("watch")
	return request.Method == http.MethodGet && (watch == "true" || watch == "1")
}

// resumedFrom is the revision from which a watch is to go on; empty if the request is none that does.
func resumedFrom(request *http.Request) string {
	revision := request.URL.Query().Get("resourceVersion")
	if !watches(request) || revision == "0" {
		return ""
	}
	return revision
}

// retry is how long the API server is left alone when it cannot be asked: this to twice this. The last
// is what many clients that wait for one API server do to it, and the shorter it is, the less is written
// before the first question.
func retry() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 1.5, Jitter: 1, Steps: 5, Cap: 5 * time.Second}
}

// refusedFor is for how long a refusal is not believed: an API server that has just started knows no roles
// yet, and may allow the watch a moment after it has refused the question.
const refusedFor = 5 * time.Second

// errRefused is that the API server does not say which revision there is.
var errRefused = errors.New("the API server refuses to list")

// askTimeout is how long the answer to a question may take.
const askTimeout = 10 * time.Second

// refusals is since when the API server refuses to list collections, by their paths.
type refusals struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// believes takes note of how a question about a collection has ended, and says whether it was refused for so long that it is believed.
func (r *refusals) believes(path string, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, errRefused) {
		delete(r.since, path)
		return false
	}
	now := time.Now()
	if _, before := r.since[path]; !before {
		r.since[path] = now
	}
	return now.Sub(r.since[path]) >= refusedFor
}

// await lists the metadata of the first of the selected objects of the collection that is watched, as soon as the API server can be
// asked; an empty list if the API server refuses to say, as it will refuse the watch. An error means that the request's context has ended.
func (g *guarded) await(watch *http.Request, selectors url.Values) (*metav1.PartialObjectMetadataList, error) {
	for pause := retry(); ; {
		list, err := g.list(watch, selectors)
		believed := g.guard.refusals.believes(watch.URL.Path, err)
		switch {
		case err == nil:
			return list, nil
		case believed:
			return &metav1.PartialObjectMetadataList{}, nil
		}
		select {
		case <-time.After(pause.Step()):
		case <-watch.Context().Done():
			return nil, fmt.Errorf("ask for the revision of %s: %w", watch.URL.Path, err)
		}
	}
}

// selectorsOf are those of a watch.
func selectorsOf(watch *http.Request) url.Values {
	selectors := url.Values{}
	for _, selector := range []string{"labelSelector", "fieldSelector"} {
		if value := watch.URL.Query().Get(selector); value != "" {
			selectors.Set(selector, value)
		}
	}
	return selectors
}

// list lists the metadata of the first of the selected objects of the collection that is watched.
func (g *guarded) list(watch *http.Request, selectors url.Values) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(watch.Context(), askTimeout)
	defer cancel()
	response, err := g.next.RoundTrip(question(ctx, watch, selectors))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if code := response.StatusCode; code >= http.StatusInternalServerError || code == http.StatusTooManyRequests {
		return nil, fmt.Errorf("the API server answers %s", response.Status)
	} else if code != http.StatusOK {
		return nil, errRefused
	}
	list := &metav1.PartialObjectMetadataList{}
	if err := json.NewDecoder(response.Body).Decode(list); err != nil {
		return nil, fmt.Errorf("read a list of metadata: %w", err)
	}
	return list, nil
}

// question is a list of the first of the selected objects of the collection that is watched. Without a revision in it, the
// answer is no older than the question.
func question(ctx context.Context, watch *http.Request, selectors url.Values) *http.Request {
	list := watch.Clone(ctx)
	list.Header.Set("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
	selectors.Set("limit", "1")
	list.URL.RawQuery = selectors.Encode()
	return list
}

// expired is the answer of an API server that does not know a revision any more.
func expired(request *http.Request, message string) *http.Response {
	body, _ := json.Marshal(metav1.Status{ // it has no values that cannot be encoded
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Reason:   metav1.StatusReasonExpired,
		Code:     http.StatusGone,
		Message:  message,
	})
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", http.StatusGone, http.StatusText(http.StatusGone)),
		StatusCode:    http.StatusGone,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(string(body))),
		ContentLength: int64(len(body)),
		Request:       request,
	}
}
