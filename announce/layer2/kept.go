package layer2

import (
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/guard"
)

// maxKept is how many requests an interface keeps for each protocol at most. Whoever asks asks again after a second, if it is one more.
const maxKept = 1024

// keptRequests are requests that came while this node might not speak, and wait until it may.
type keptRequests struct {
	mu       sync.Mutex
	requests []keptRequest
}

// keptRequest is a request, and the socket on which it came.
type keptRequest struct {
	conn    conn
	message message
}

// add returns whether these are the first ones.
func (k *keptRequests) add(r keptRequest) (first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.requests) < maxKept {
		k.requests = append(k.requests, r)
	}
	return len(k.requests) == 1
}

func (k *keptRequests) take() []keptRequest {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.requests
	k.requests = nil
	return taken
}

// keep has a request answered as soon as this node may speak.
func (ir *ifaceResponder) keep(conn conn, m message) {
	if ir.kept.add(keptRequest{conn, m}) || ir.responder.speaks() {
		ir.answerKept()
	}
}

// answerKept answers what is kept, if this node may speak. If it holds back, that is done later, and if it is not fit, by AnswerKept. It
// may pause in between. A socket that fails meanwhile is noticed by those who read from it.
func (ir *ifaceResponder) answerKept() {
	if !ir.responder.fit() {
		return
	}
	if wait := ir.responder.hold(); wait > 0 {
		time.AfterFunc(wait, ir.answerKept)
		return
	}
	for _, r := range ir.kept.take() {
		if !ir.responder.speaks() {
			ir.keep(r.conn, r.message)
			continue
		}
		guard.Run("layer2", ir.ifi.Name, func() { _ = ir.reply(r.conn, r.message) })
	}
}
