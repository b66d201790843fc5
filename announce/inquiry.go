package announce

import (
	"encoding/json"
	"time"

	"github.com/clarionlb/clarion/announce/plan"
)

// message is what announcers tell each other by gossip.
type message struct {
	// Takeovers are addresses that the sender has taken over and not recorded yet.
	Takeovers []plan.Takeover `json:"takeovers,omitempty"`
	// Late and Silent are members whose heartbeats the sender misses, one or so many that they may be dead, and Heard are those of
	// which it misses none any more, or that others hear.
	Late   []string `json:"late,omitempty"`
	Silent []string `json:"silent,omitempty"`
	// SilentFor is for how long nothing came of each of Silent, in milliseconds.
	SilentFor []int64  `json:"silentFor,omitempty"`
	Heard     []string `json:"heard,omitempty"`
	// Hears are members that others miss, and of which a heartbeat has come to the sender since it knows that.
	Hears []string `json:"hears,omitempty"`
	// LinksDown are interfaces of the sender that have just gone down, by name.
	LinksDown []string `json:"linksDown,omitempty"`
	// Claims are claims of the sender that hold against those of the receiver.
	Claims []plan.Takeover `json:"claims,omitempty"`
	// Question asks for such claims, and Answer is the Question that is answered, also if there are none. ReadsSlices says that the one
	// who asks reads ClaimSlices: an older announcer does not.
	Question    int64 `json:"question,omitempty"`
	ReadsSlices bool  `json:"readsSlices,omitempty"`
	Answer      int64 `json:"answer,omitempty"`
}

const (
	// inquiryRepeat is when those are asked again who have not answered: the question or the answer may have been lost, and a switch may
	// lose many. Whoever has not answered for as long as inquiryOften is asked less often, at inquiryRepeatLater.
	inquiryRepeat      = 20 * time.Millisecond
	inquiryOften       = 500 * time.Millisecond
	inquiryRepeatLater = 200 * time.Millisecond
	// inquiryTimeout is how long all others have to answer, each from the moment on when it is in sight, and without the time in which
	// this node does not run. Then the node takes itself for cut off. One that is cut off for real knows sooner, and so does everybody of
	// one that has died: this is for a path that leads one way alone, and processors that are so busy that nobody answers for seconds
	// must not look like it.
	inquiryTimeout = 5 * time.Second
)

// inquiry is how a node finds out what others have taken over from it, when it begins and when it has paused: it asks all that
// are in sight. Until all have answered it says nothing, since two nodes may have its addresses. One that has died meanwhile, which
// heartbeats and the failure detector find out as ever, has not to answer. The zero value is none.
type inquiry struct {
	// question is the time when it began, which also tells it from others.
	question int64
	// next is when to ask again, which is an interval after the last time.
	next     time.Time
	interval time.Duration
	// waited is for how long each of those in sight has been asked in vain, in intervals: time in which this node does not run is none.
	waited   map[string]time.Duration
	answered map[string]bool
	// failed says that the node is to withdraw everything, and to go on as one that was cut off.
	failed bool
}

// inquire goes on with an inquiry as long as one is needed, and returns when to call it again. It comes after a step, so that
// what was told has been acted upon when the node speaks again.
func (a *Announcer) inquire(now time.Time) (wake time.Time) {
	if a.others.pauses.Fit() {
		return time.Time{}
	}
	q := &a.others.inquiry
	if q.question == 0 {
		*q = inquiry{question: now.UnixNano(), next: now, answered: map[string]bool{}}
	}
	unanswered := q.unanswered(a.others.inSight, a.node)
	switch {
	case q.failed || len(unanswered) == 0:
		if q.failed {
			a.logger.Info("Not all announcers say what they have; announcing nothing until this node knows", "node", a.node)
		}
		*q = inquiry{}
		a.others.pauses.Resume()
		a.lan.responder.AnswerKept()
		return now // whatever was decided meanwhile is to be said
	case q.due(now, unanswered):
		for _, name := range unanswered {
			a.tell(name, message{Question: q.question, ReadsSlices: true})
		}
	case q.failed:
		return now
	}
	return q.next
}

// due says whether to ask those who have not answered. When it is time to, it takes in that they have not done so for another interval,
// and the inquiry may have failed by that.
func (q *inquiry) due(now time.Time, unanswered []string) bool {
	if now.Before(q.next) {
		return false
	}
	interval, waited := inquiryRepeatLater, make(map[string]time.Duration, len(unanswered))
	for _, name := range unanswered {
		if before, asked := q.waited[name]; asked {
			waited[name] = before + q.interval
		} else {
			waited[name] = 0
		}
		if waited[name] < inquiryOften {
			interval = inquiryRepeat
		}
		q.failed = q.failed || waited[name] >= inquiryTimeout
	}
	q.next, q.interval, q.waited = now.Add(interval), interval, waited
	return !q.failed
}

// unanswered are those that are alive and have not answered.
func (q *inquiry) unanswered(alive []string, self string) (names []string) {
	for _, name := range alive {
		if name != self && !q.answered[name] {
			names = append(names, name)
		}
	}
	return names
}

// notePause has an inquiry begin, or begin anew.
func (a *Announcer) notePause() {
	a.others.inquiry = inquiry{}
	a.others.watch.forget(time.Now())
	a.metrics.pauses.Inc()
	a.logger.Info("This node has not run for a while; asking the others what they have taken over", "node", a.node)
}

// sendTakeovers has the other announcers know what this one has taken over.
func (a *Announcer) sendTakeovers(takeovers []plan.Takeover) {
	if len(takeovers) > 0 {
		a.broadcast(message{Takeovers: takeovers})
	}
}

// tellClaims has a member know which of its claims do not hold against this node's.
func (a *Announcer) tellClaims(name string) {
	if claims := a.planner.ClaimsAgainst(name); len(claims) > 0 {
		a.tell(name, message{Claims: claims})
	}
}

// receive takes in what others have told.
func (a *Announcer) receive() {
	for _, received := range a.others.members.Messages() {
		var m message
		if err := json.Unmarshal(received.Text, &m); err != nil {
			a.logger.Error(err, "Cannot read what an announcer tells", "node", received.From)
			continue
		}
		against := a.planner.ObserveTakeovers(received.From, m.Takeovers, time.Now())
		if against = append(against, a.planner.ObserveClaims(received.From, m.Claims, time.Now())...); len(against) > 0 {
			a.tell(received.From, message{Claims: against})
		}
		a.planner.ObserveLinksDown(received.From, m.LinksDown, time.Now())
		a.others.watch.receive(a.node, received.From, m, a.others.expected, time.Now())
		a.trust(m.Hears)
		if m.Question != 0 {
			claims := a.planner.ClaimsAgainst(received.From)
			if !m.ReadsSlices {
				claims = append(claims, a.planner.ClaimsSince()...)
			}
			a.tell(received.From, message{Claims: claims, Answer: m.Question})
		}
		if q := &a.others.inquiry; q.question != 0 && m.Answer == q.question {
			q.answered[received.From] = true
		}
	}
}

func (a *Announcer) broadcast(m message) {
	if text, err := json.Marshal(m); err != nil {
		a.logger.Error(err, "Cannot tell the others anything")
	} else {
		a.others.members.Broadcast(text)
	}
}

func (a *Announcer) tell(name string, m message) {
	if text, err := json.Marshal(m); err != nil {
		a.logger.Error(err, "Cannot tell another announcer anything", "node", name)
	} else {
		a.others.members.Tell(name, text)
	}
}
