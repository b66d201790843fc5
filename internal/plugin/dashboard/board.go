package dashboard

import (
	"strconv"
	"sync"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// board has the latest that there is to show.
type board struct {
	mu  sync.Mutex
	now *posted
}

// posted is what was there to show at some time. It is not modified.
type posted struct {
	// version is another one if text is.
	version string
	text    []byte // an overview, as JSON
	state   *snapshot.State
	// stale is a half sentence that says why it may be out of date; "" if nothing keeps it from being
	// up to date.
	stale string
	// replaced is closed when there is something newer.
	replaced chan struct{}
}

func newBoard() *board {
	return &board{now: &posted{version: "0", text: []byte("null"), replaced: make(chan struct{})}}
}

func (b *board) latest() *posted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// post puts something newer on the board. If text and stale say the same as before, nobody is told.
func (b *board) post(state *snapshot.State, text []byte, stale string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	before := b.now
	same := string(before.text) == string(text)
	next := &posted{version: before.version, text: text, state: state, stale: stale, replaced: before.replaced}
	if !same {
		n, _ := strconv.ParseUint(before.version, 10, 64)
		next.version = strconv.FormatUint(n+1, 10)
	}
	if !same || before.stale != stale {
		next.replaced = make(chan struct{})
		defer close(before.replaced)
	}
	b.now = next
}
