package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// move is something that has happened: an address came to a node, or what an event tells.
type move struct {
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

// slack is how far apart the time of a claim and that of its event may be: the event is sent later,
// and both are in whole seconds.
const slack = 3 * time.Second

// movesOf is what is known of the past, the latest first: by the claims, which name the node and
// those before it, and by the events.
func movesOf(state *snapshot.State) []move {
	moves := claimsOf(state)
	for _, e := range state.Events {
		at := snapshot.EventTime(e)
		i := slices.IndexFunc(moves, func(m move) bool { return tells(e, at, m) })
		if i >= 0 {
			moves[i].Words = e.Message
			continue
		}
		m := move{At: moment(at), State: none, On: e.InvolvedObject.Name, What: e.Reason, Words: e.Message, Parts: []move{}, time: at}
		if e.InvolvedObject.Kind == "Service" {
			m.Service = types.NamespacedName{Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name}.String()
			m.On = m.Service
		}
		if e.Type == corev1.EventTypeWarning {
			m.State = trouble
		}
		moves = append(moves, m)
	}
	slices.SortStableFunc(moves, func(a, b move) int { return cmp.Or(b.time.Compare(a.time), compareText(a.On, b.On)) })
	moves = grouped(moves)
	return moves[:min(len(moves), maxMoves)]
}

// grouped makes one of the moves that follow upon each other from one node: of a node that has died,
// or is drained.
func grouped(moves []move) []move {
	list := []move{}
	for rest := moves; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[0].From != "" && rest[n].From == rest[0].From && rest[n-1].time.Sub(rest[n].time) <= slack {
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
	m := moves[0]
	m.On, m.Service, m.What, m.To, m.Words, m.Parts = fmt.Sprintf("%d addresses", len(moves)), "", "claims", strings.Join(to, ", "), "", moves
	return m
}

// claimsOf has for every address on layer 2 how it came to the node that has it.
func claimsOf(state *snapshot.State) []move {
	moves := []move{}
	for _, announcer := range state.Announcers {
		claims := announcer.Status.Layer2.Addresses
		for _, address := range carried(state, announcer) {
			i := slices.IndexFunc(claims, func(c v1alpha1.Layer2Address) bool { return c.IP == address.IP })
			since := claims[i].Since.Time
			m := move{At: moment(since), State: none, On: address.IP, Service: address.Service, To: announcer.Name, What: "claim", Parts: []move{}, time: since}
			if len(claims[i].PreviousOwners) > 0 {
				m.From = claims[i].PreviousOwners[0]
			}
			moves = append(moves, m)
		}
	}
	return moves
}

// tells says whether an event is that of a move to the node which has sent it.
func tells(e *corev1.Event, at time.Time, m move) bool {
	return e.Source.Host == m.To && m.Words == "" && at.Sub(m.time).Abs() <= slack &&
		m.Service == e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name && strings.HasPrefix(e.Message, m.On+" ")
}
