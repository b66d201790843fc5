package dashboard

import (
	"encoding/json"
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
	// revision is one more with each text.
	revision uint64
	text     []byte // an overview, as JSON
	tree     any    // the same
	// changes are the deltas that have led here from the revisions before, as many as are shorter than the text together.
	changes [][]byte
	state   *snapshot.State
	// stale is a half sentence that says why it may be out of date; "" if nothing keeps it from being
	// up to date.
	stale string
	// replaced is closed when there is something newer.
	replaced chan struct{}
}

func newBoard() *board {
	return &board{now: &posted{text: []byte("null"), replaced: make(chan struct{})}}
}

func (b *board) latest() *posted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// post puts something newer on the board. If it shows the same as before, nobody is told.
func (b *board) post(state *snapshot.State, shown *overview, stale string) error {
	text, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	before := b.now
	next := *before
	next.state, next.stale = state, stale
	change := deltaOf(before.tree, tree)
	if change != nil {
		told, err := json.Marshal(change)
		if err != nil {
			return err
		}
		next.revision, next.text, next.tree = before.revision+1, text, tree
		next.changes = latest(before.changes, told, len(text))
	}
	if change != nil || before.stale != stale {
		next.replaced = make(chan struct{})
		defer close(before.replaced)
	}
	b.now = &next
	return nil
}

// latest adds a change, and leaves out the oldest until they are no longer than most.
func latest(changes [][]byte, change []byte, most int) [][]byte {
	sum, first := len(change), len(changes)
	if sum > most {
		return nil
	}
	for first > 0 && sum+len(changes[first-1]) <= most {
		first--
		sum += len(changes[first])
	}
	return append(append([][]byte{}, changes[first:]...), change)
}

// since are the changes after a revision; false if they are not known any more.
func (p *posted) since(revision uint64) (changes [][]byte, known bool) {
	n := p.revision - revision
	if revision > p.revision || n > uint64(len(p.changes)) {
		return nil, false
	}
	return p.changes[uint64(len(p.changes))-n:], true
}
