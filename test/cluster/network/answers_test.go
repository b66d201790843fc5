package network

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestAnswersTellWhoHadTheAddressWhen(t *testing.T) {
	start := time.Unix(1000, 0)
	a, b := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	tests := []struct {
		name string
		// script has a letter for each host that answers a question, and a blank after each
		// question: in lower case it answers 1 ms after the question, in upper case so late that
		// three more questions have been put.
		script                             string
		tenures, atOnce, moves, unanswered int
		gap                                time.Duration
	}{
		{"nobody", "- - -", 0, 0, 0, 3, 20 * time.Millisecond},
		{"one", "a a a", 1, 1, 0, 0, 0},
		{"a gap too short to matter", "a - - a a", 1, 1, 0, 2, 21 * time.Millisecond},
		{"away and back", "a a - - - - - a", 2, 1, 0, 5, 51 * time.Millisecond},
		{"a move", "a a b b", 2, 1, 1, 0, 0},
		{"a move with a gap", "a a - - b b", 2, 1, 1, 2, 21 * time.Millisecond},
		{"a move and back", "a a b b b b b b a a", 3, 1, 2, 0, 0},
		{"two at once", "a ab ab b", 2, 2, 1, 0, 0},
		{"two in turns", "a b a b a b", 2, 2, 1, 0, 0},
		{"two both of whom answered one question", "a a ab b b", 2, 1, 1, 0, 0},
		{"one who was asked before another took over, and answered late", "a a A b b b", 2, 1, 1, 0, 0},
		{"one who took over and answered what had been asked before", "a a aB aB aB b b b", 2, 1, 1, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answers := Answers{Address: netip.MustParseAddr("10.0.0.1")}
			question := Question{Asked: start}
			for _, r := range test.script + " " {
				answer := Answer{Received: question.Asked.Add(time.Millisecond)}
				switch r {
				case 'a':
					answer.MAC = a
				case 'A':
					answer.MAC, answer.Received = a, question.Asked.Add(35*time.Millisecond)
				case 'b':
					answer.MAC = b
				case 'B':
					answer.MAC, answer.Received = b, question.Asked.Add(35*time.Millisecond)
				case ' ':
					answers.Questions = append(answers.Questions, question)
					question = Question{Asked: question.Asked.Add(10 * time.Millisecond)}
				}
				if answer.MAC != nil {
					question.Answers = append(question.Answers, answer)
				}
			}
			if got := len(answers.Tenures()); got != test.tenures {
				t.Errorf("%d tenures, want %d", got, test.tenures)
			}
			if got := answers.MostAtOnce(); got != test.atOnce {
				t.Errorf("%d at once, want %d", got, test.atOnce)
			}
			if got := answers.Moves(); got != test.moves {
				t.Errorf("%d moves, want %d", got, test.moves)
			}
			if got := answers.Unanswered(); got != test.unanswered {
				t.Errorf("%d unanswered, want %d", got, test.unanswered)
			}
			if got := answers.LongestGap(); got != test.gap {
				t.Errorf("longest gap %s, want %s", got, test.gap)
			}
			t.Log(answers)
		})
	}
}

func TestAWatchSeesWhoAnswers(t *testing.T) {
	l := newLAN(t)
	for _, v6 := range []bool{false, true} {
		address, length := l.b.Address("eth0", v6), map[bool]int{false: 24, true: 64}[v6]
		watch, err := l.a.Watch(testContext(t), "eth0", WatchOptions{}, address)
		if err != nil {
			t.Fatal(err)
		}
		await := func(want net.HardwareAddr) {
			t.Helper()
			if mac, err := watch.AwaitSole(testContext(t), address, 10); err != nil || mac.String() != want.String() {
				t.Fatalf("%s, %v, want %s", mac, err, want)
			}
		}
		await(l.b.MAC("eth0"))
		// The router takes the address while b has it, then b loses it.
		give := func(h *Host, action string) {
			t.Helper()
			prefix := netip.PrefixFrom(address, length).String()
			command := []string{"ip", "address", action, prefix, "dev", "eth0"}
			if v6 && action == "add" {
				command = append(command, "nodad")
			}
			if _, err := h.Run(testContext(t), command...); err != nil {
				t.Fatal(err)
			}
		}
		give(l.router, "add")
		before := len(watch.Answers(address).Questions)
		for both := 0; both < 10; {
			answers := watch.Answers(address).Questions
			both = 0
			for _, question := range answers[before:] {
				if len(question.Answers) == 2 {
					both++
				}
			}
		}
		give(l.b, "delete")
		await(l.router.MAC("eth0"))
		if err := watch.Stop(); err != nil {
			t.Fatal(err)
		}
		answers := watch.Answers(address)
		if answers.MostAtOnce() != 2 || answers.Moves() != 1 || answers.Unanswered() != 0 || len(answers.Sources()) != 2 {
			t.Error(answers)
		}
		give(l.router, "delete")
		give(l.b, "add")
	}
}
