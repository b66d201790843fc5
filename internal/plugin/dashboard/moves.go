package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/internal/plugin/history"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// move is something that has happened: an address came to a node, or what an event tells.
type move struct {
	Key     string   `json:"key"` // the same as long as the move is
	At      string   `json:"at"`
	State   standing `json:"state"`
	On      string   `json:"on"` // an address, or an object
	Service string   `json:"service"`
	From    string   `json:"from"` // a node
	To      string   `json:"to"`   // a node
	What    string   `json:"what"` // of which kind it is
	Words   string   `json:"words"`
	Parts   []move   `json:"parts"` // several moves that are one
	time    time.Time
}

// maxMoves is how much of the past is shown.
const maxMoves = 200

// fewMoves is how many moves that are one are shown one by one, and how many nodes are named.
const fewMoves = 3

// maxParts is how many moves are listed that are one.
const maxParts = 100

// together is how far apart moves from one node may be that are one.
const together = 3 * time.Second

// movesOf is what is known of the past, the latest first.
func movesOf(state *snapshot.State) []move {
	var moves []move
	entries := history.Of(state)
	slices.Reverse(entries)
	for _, e := range entries {
		m := move{At: moment(e.Time), State: none, On: e.Object.Name, What: e.Reason, Words: e.Message, Parts: []move{}, time: e.Time}
		if e.Kind == "Service" {
			m.Service = e.Object.String()
			m.On = m.Service
		}
		if e.Type == corev1.EventTypeWarning {
			m.State = trouble
		}
		if e.Move != nil {
			m.On, m.From, m.To = e.Move.Address, e.Move.From, e.Move.To
		}
		m.Key = strings.Join([]string{m.At, m.On, m.What}, " ")
		moves = append(moves, m)
	}
	moves = grouped(moves)
	return moves[:min(len(moves), maxMoves)]
}

// grouped makes one of the moves that follow upon each other from one node: of a node that has died,
// or is drained.
func grouped(moves []move) []move {
	list := []move{}
	for rest := moves; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[0].From != "" && rest[n].From == rest[0].From && rest[n-1].time.Sub(rest[n].time) <= together {
			n++
		}
		if n <= fewMoves {
			list = append(list, rest[:n]...)
		} else {
			list = append(list, join(rest[:n]))
		}
		rest = rest[n:]
	}
	return list
}

// join makes one of several moves.
func join(moves []move) move {
	var to []string
	for _, m := range moves {
		if !slices.Contains(to, m.To) {
			to = append(to, m.To)
		}
	}
	slices.Sort(to)
	if len(to) > fewMoves {
		to = []string{fmt.Sprintf("%d nodes", len(to))}
	}
	m, first := moves[0], moves[len(moves)-1]
	m.Key = strings.Join([]string{first.At, m.From, "claims"}, " ") // others may join
	m.On, m.Service, m.What, m.To, m.Words, m.Parts = fmt.Sprintf("%d addresses", len(moves)), "", "claims", strings.Join(to, ", "), "", moves
	if len(moves) > maxParts {
		m.Parts, m.Words = moves[:maxParts], fmt.Sprintf("the latest %d are listed", maxParts)
	}
	return m
}
