package rollback

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// watching is how it stands with the last watch of each collection.
type watching struct {
	mu   sync.Mutex
	last map[string]*lastWatch
}

// lastWatch is a watch that goes on, or has ended: early, if that was before its time.
type lastWatch struct {
	until        time.Time
	ended, early bool
}

// begins takes note that a collection is watched, and for how long it is to be, and has the answer tell when it ends.
func (w *watching) begins(watch *http.Request, response *http.Response) {
	timeout, err := strconv.Atoi(watch.URL.Query().Get("timeoutSeconds"))
	if err != nil {
		return
	}
	began := &lastWatch{until: time.Now().Add(time.Duration(timeout) * time.Second)}
	w.mu.Lock()
	w.last[collectionOf(watch)] = began
	w.mu.Unlock()
	response.Body = &watchBody{response.Body, func() { w.ends(began) }}
}

func (w *watching) ends(watch *lastWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !watch.ended {
		watch.ended, watch.early = true, time.Now().Before(watch.until)
	}
}

// endedEarly says whether the last watch of a collection has ended before its time, and none goes on.
func (w *watching) endedEarly(read *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last[collectionOf(read)]
	return last != nil && last.early
}

// watchBody is the answer to a watch.
type watchBody struct {
	io.ReadCloser
	ends func()
}

func (b *watchBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if err != nil {
		b.ends()
	}
	return n, err
}

func (b *watchBody) Close() error {
	b.ends()
	return b.ReadCloser.Close()
}

// reading is a request that reads all of a collection in the place of another request.
func reading(ctx context.Context, request *http.Request, collection string) *http.Request {
	read := request.Clone(ctx)
	read.Method, read.Body, read.GetBody, read.ContentLength = http.MethodGet, nil, nil, 0
	read.Header.Del("Content-Type")
	read.URL = &url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Path: collection}
	return read
}
