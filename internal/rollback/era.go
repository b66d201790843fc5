package rollback

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
)

// eras are the times between two restores. What was read in an earlier one counts no more, whatever the revision of its collection is
// by now: the API may have reached it again before anybody asked.
type eras struct {
	mu      sync.Mutex
	current era
	// read has the number of the era in which a collection was last read from the beginning.
	read map[string]int
}

type era struct {
	number int
	// context ends when the era does.
	context context.Context
	end     context.CancelFunc
}

func newEras() *eras {
	e := &eras{read: map[string]int{}}
	e.begin(0)
	return e
}

// begin begins an era, under mu.
func (e *eras) begin(number int) {
	e.current.number = number
	e.current.context, e.current.end = context.WithCancel(context.Background())
}

// reads takes note of a request to read: it begins to read a collection if it says so, and goes on with it otherwise. It returns the era
// in which that is done, and false if the collection was read in an earlier one.
func (e *eras) reads(request *http.Request, anew bool) (in era, counts bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := collectionOf(request)
	last, known := e.read[name]
	switch {
	case anew && known, !known && watches(request): // objects that are read one by one are no collections
		e.read[name] = e.current.number
	case !anew && last != e.current.number:
		return e.current, false
	}
	return e.current, true
}

// close ends an era, and returns false if it has ended before.
func (e *eras) close(ended era) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ended.number != e.current.number {
		return false
	}
	e.current.end()
	e.begin(ended.number + 1)
	return true
}

// collectionOf is what a request is about.
func collectionOf(request *http.Request) string {
	query := request.URL.Query()
	return strings.Join([]string{request.URL.Path, query.Get("labelSelector"), query.Get("fieldSelector")}, "?")
}

// within has the answer to a watch end with an era.
func (e era) within(response *http.Response) *http.Response {
	body := response.Body
	stop := context.AfterFunc(e.context, func() { body.Close() })
	response.Body = &eraBody{body, e.context, stop}
	return response
}

type eraBody struct {
	io.ReadCloser
	era  context.Context
	stop func() bool
}

func (b *eraBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if err != nil && b.era.Err() != nil {
		err = io.EOF
	}
	return n, err
}

func (b *eraBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}
