package chaos

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// heard are answers to questions 20 ms apart: a letter for each host that answers one, "-" if nobody does.
func heard(questions ...string) network.Answers {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var a network.Answers
	for n, who := range questions {
		q := network.Question{Asked: start.Add(time.Duration(n) * question)}
		for _, host := range strings.Trim(who, "-") {
			q.Answers = append(q.Answers, network.Answer{Received: q.Asked.Add(time.Millisecond), MAC: net.HardwareAddr{byte(host)}})
		}
		a.Questions = append(a.Questions, q)
	}
	return a
}

func TestOverlaps(t *testing.T) {
	for _, test := range []struct {
		name      string
		questions string
		want      string
	}{
		{"one answers", "a a a a", "[]"},
		{"nobody does", "- - - -", "[]"},
		{"it moves", "a a a b b b", "[]"},
		{"it moves, after a silence", "a a - - - - - - b b", "[]"},
		{"both answer for a moment", "a ab ab ab b", "[39ms]"},
		{"one of them is late once", "a a ba b b", "[]"},
		{"both answer, one of them now and then", "a ab a ab a ab b", "[79ms]"},
		{"it comes back", "a a b b b b b b a a", "[]"},
		{"three do", "a abc abc abc c", "[39ms 39ms 39ms]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []time.Duration
			for _, o := range overlaps(heard(strings.Fields(test.questions)...)) {
				got = append(got, o.length())
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("overlaps of %v, want %s", got, test.want)
			}
		})
	}
}
