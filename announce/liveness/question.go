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

// askNode asks for a node; asked is false if that is not possible. If this process was so slow that it
// may have missed an answer, it asks again.
func (d *Detector) askNode(ctx context.Context, name string, node plan.Question, thoroughly bool) (answers, asked bool) {
	if !node.Address.IsValid() {
		return false, false
	}
	for range 3 {
		start, q := time.Now(), d.question(node)
		if thoroughly {
			q = d.thorough(q)
		}
		_, answered, err := d.prober.Ask(ctx, q)
		if err != nil {
			d.logger.V(2).Info("Cannot ask for a node", "node", name, "interface", node.Interface, "err", err)
			return false, false
		}
		if answered {
			return true, true
		}
		if time.Since(start) < 2*takes(q) {
			break
		}
	}
	return false, true
}
