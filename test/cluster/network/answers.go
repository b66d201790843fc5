package network

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Answers are the questions for an address and their answers.
type Answers struct {
	Address   netip.Addr
	Questions []Question
}

// Question is one question and all answers to it.
type Question struct {
	Asked   time.Time
	Answers []Answer
}

// Answer is one answer to a question.
type Answer struct {
	// Received is when the kernel saw it.
	Received time.Time
	// MAC is where the answer says the address is, and Source where the answer came from. They
	// differ if a host answers on behalf of another.
	MAC, Source net.HardwareAddr
}

// Tenure is a period in which answers said that a host has the address. It began before From and
// ended after To. A host that leaves a few questions in a row unanswered ends its tenure.
type Tenure struct {
	MAC      net.HardwareAddr
	From, To time.Time
	Answers  int

	last int // the number of the last question
}

// silence is how many questions in a row have to go unanswered to end a tenure.
const silence = 4

// Tenures returns the tenures in the order in which they began.
func (a Answers) Tenures() []Tenure {
	var tenures []*Tenure
	current := map[string]*Tenure{}
	for number, question := range a.Questions {
		for _, answer := range question.Answers {
			mac := answer.MAC.String()
			tenure := current[mac]
			if tenure == nil || number-tenure.last > silence {
				tenure = &Tenure{MAC: answer.MAC, From: answer.Received}
				current[mac] = tenure
				tenures = append(tenures, tenure)
			}
			// Whoever answers has the address at some time after it was asked and before the answer
			// is received.
			tenure.To, tenure.last = question.Asked, number
			tenure.Answers++
			if answer.Received.Before(tenure.From) {
				tenure.From = answer.Received
			}
		}
	}
	slices.SortStableFunc(tenures, func(a, b *Tenure) int { return a.From.Compare(b.From) })
	var result []Tenure
	for _, tenure := range tenures {
		result = append(result, *tenure)
	}
	return result
}

// MostAtOnce returns the largest number of hosts that had the address at the same time. It never
// counts too many: a host that answers a question late, which it got before another host took over,
// does not count beside that host.
func (a Answers) MostAtOnce() int {
	tenures := a.Tenures()
	most := min(len(tenures), 1)
	for _, t := range tenures {
		count := 0
		for _, other := range tenures { // at the beginning of t
			if !other.From.After(t.From) && other.To.After(t.From) && t.To.After(t.From) {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

// Moves returns how often the address went from one host to another.
func (a Answers) Moves() int {
	moves := 0
	tenures := a.Tenures()
	for i := 1; i < len(tenures); i++ {
		if tenures[i].MAC.String() != tenures[i-1].MAC.String() {
			moves++
		}
	}
	return moves
}

// Unanswered counts the questions without an answer.
func (a Answers) Unanswered() int {
	count := 0
	for _, question := range a.Questions {
		if len(question.Answers) == 0 {
			count++
		}
	}
	return count
}

// Gap is a time without an answer: from the first question without one to the first answer after it,
// or to the last question.
type Gap struct{ From, To time.Time }

// Length is how long the gap is.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// LongestGap returns the length of the longest gap, 0 if there is none.
func (a Answers) LongestGap() time.Duration {
	var longest time.Duration
	for _, gap := range a.Gaps() {
		longest = max(longest, gap.Length())
	}
	return longest
}

// Gaps returns all gaps in their order.
func (a Answers) Gaps() []Gap {
	var gaps []Gap
	open := false
	for _, question := range a.Questions {
		switch {
		case len(question.Answers) == 0 && !open:
			gaps, open = append(gaps, Gap{question.Asked, question.Asked}), true
		case len(question.Answers) == 0:
			gaps[len(gaps)-1].To = question.Asked
		case open:
			first := slices.MinFunc(question.Answers, func(a, b Answer) int { return a.Received.Compare(b.Received) })
			gaps[len(gaps)-1].To, open = first.Received, false
		}
	}
	return gaps
}

// String describes the answers, with every tenure.
func (a Answers) String() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%s: %d questions, %d unanswered, longest gap %s, at most %d at once", a.Address, len(a.Questions),
		a.Unanswered(), a.LongestGap().Round(time.Millisecond), a.MostAtOnce())
	if len(a.Questions) == 0 {
		return text.String()
	}
	start := a.Questions[0].Asked
	tenures := a.Tenures()
	const shown = 20
	for _, t := range tenures[:min(len(tenures), shown)] {
		fmt.Fprintf(text, "\n  %s from %s to %s, %d answers", t.MAC, t.From.Sub(start).Round(time.Millisecond),
			t.To.Sub(start).Round(time.Millisecond), t.Answers)
	}
	if more := len(tenures) - shown; more > 0 {
		fmt.Fprintf(text, "\n  and %d more", more)
	}
	return text.String()
}

// Sources returns the hardware addresses from which answers came, whatever the answers said,
// sorted.
func (a Answers) Sources() []string {
	var all []string
	for _, question := range a.Questions {
		for _, answer := range question.Answers {
			all = append(all, answer.Source.String())
		}
	}
	slices.SortFunc(all, cmp.Compare)
	return slices.Compact(all)
}
