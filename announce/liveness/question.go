package liveness

import (
	"context"
	"net"
	"time"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// A packet that is lost proves nothing, and a switch or a cable may lose many. So whatever would move addresses follows from many
// questions that stay without an answer, and everything else from a few.
//
// thoroughTries are how many. If half of the packets are lost each way, three of four questions are in vain, and 100 in a row once in
// 3*10^12 times. In a cluster of 200 members that all lose so much, each asked for by three others four times a second, that happens
// once in 40 years.
const (
	thoroughTries    = 100
	thoroughInterval = 800 * time.Microsecond
	thoroughWait     = 10 * time.Millisecond
	// maxQuestions is how many questions about silent nodes leave all nodes together in a thoroughInterval: a quarter of what a gigabit
	// link carries, since switches may send to all ports what is for a node that is gone. If more are silent, asking takes longer.
	maxQuestions = 320
	// heirs are how many nodes ask about a single one, unless that has many addresses. All do if there are several.
	heirs = 3
)

// question is how a node is asked for: a few times, within 90 ms. A host that answers in its place, or for everything, proves nothing.
// The node is asked alone at first, and all hosts at last: it may have another hardware address than it has recorded.
func (d *Detector) question(q plan.Question) layer2.Question {
	mac, _ := net.ParseMAC(q.MAC)
	return layer2.Question{
		Interface: q.Interface, Address: q.Address, Tries: d.timing.tries, Interval: d.timing.interval, Wait: d.timing.interval,
		MAC: mac, Broadcast: d.timing.tries,
		Accept: func(a layer2.Answer) bool { return q.Accepts(a.MAC.String()) },
	}
}

// thorough has a question asked so often that chance alone does not leave it without an answer, and in the same time unless many nodes
// are silent.
func (d *Detector) thorough(q layer2.Question) layer2.Question {
	q.Tries, q.Interval, q.Wait = thoroughTries, d.thoroughInterval(), thoroughWait
	if q.Broadcast > 0 {
		q.Broadcast = thoroughTries * 2 / 3 // so that there is time for an answer
	}
	return q
}

func (d *Detector) thoroughInterval() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	silent, askers := 0, heirs
	for _, s := range d.suspicions {
		if !s.reported && !(s.probed && s.isLate()) { // who is late and answers is asked once
			silent++
		}
	}
	if silent > 1 {
		askers = len(d.quorum.InGossip) + 1
	}
	return max(thoroughInterval, thoroughInterval*time.Duration(silent*askers)/maxQuestions)
}

// takes is how long a question takes that nobody answers.
func takes(q layer2.Question) time.Duration { return time.Duration(q.Tries-1)*q.Interval + q.Wait }

// answer is what asking for a node has found.
type answer int

const (
	// notAsked : that is not possible.
	notAsked answer = iota
	answered
	// unanswered proves nothing.
	unanswered
	// silence : the node is silent, by many questions, and this node hears others.
	silence
)

// maxRounds is how often a node is asked for anew if this process was so slow that it may have missed an answer.
const maxRounds = 3

// askNode asks for a node. With hears, which says whether this node hears others, it asks thoroughly; without, nobody is found silent.
// Hears is asked last, while an answer of the node still counts: who hears others has not missed what arrived before.
func (d *Detector) askNode(ctx context.Context, name string, node plan.Question, hears Reach) (found answer) {
	if !node.Address.IsValid() {
		return notAsked
	}
	for round := 1; round <= maxRounds; round++ {
		q, slow := d.question(node), false
		if hears != nil {
			q = d.thorough(q)
		}
		start := time.Now()
		q.Unanswered = func(ctx context.Context) {
			found = unanswered
			slow = round < maxRounds && time.Since(start) >= 2*takes(q)
			if hears != nil && !slow && hears(ctx) {
				found = silence
			}
		}
		_, answers, err := d.prober.Ask(ctx, q)
		switch {
		case err != nil:
			d.logger.V(2).Info("Cannot ask for a node", "node", name, "interface", node.Interface, "err", err)
			return notAsked
		case answers:
			return answered
		case !slow:
			return found
		}
	}
	return found
}
