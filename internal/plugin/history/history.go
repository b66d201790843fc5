// Package history is what is known of the past of a cluster: by the claims of addresses, which say where each is and
// where it was before, and by events, which say why. The API server keeps events for an hour by default; claims stay.
package history

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

// Entry is something that has happened.
type Entry struct {
	Time time.Time
	// Type and Reason are those of the event: Normal and ReasonMoved of a move of which there is no event any more.
	Type, Reason string
	// Kind and Object are of what it has happened to.
	Kind   string
	Object types.NamespacedName
	// Message is a sentence.
	Message string
	// Count is how often the event was sent; 0 if there is none.
	Count int32
	// Move is the move of an address; nil if it is none.
	Move *Move
}

// Move is how an address came to the node that has it on layer 2.
type Move struct {
	Address string
	// From is the node that had it before; "" if that is not known any more, or if nobody had it.
	From, To string
}

// ReasonMoved is that of an address that has moved, if no event tells of it any more.
const ReasonMoved = "AddressMoved"

// slack is how far apart the time of a claim and that of its event may be: the event is sent later, and both are in
// whole seconds.
const slack = 3 * time.Second

// Of is all that is known, the earliest first.
func Of(s *snapshot.State) []Entry {
	moves := movesOf(s)
	var entries []Entry
	for _, e := range s.Events {
		if !Tells(e) {
			continue
		}
		entry := EntryOf(e)
		moves[entry.Object] = slices.DeleteFunc(moves[entry.Object], func(m Entry) bool {
			if entry.Move != nil || !tellsOf(e, entry, m) {
				return false
			}
			entry.Move = m.Move
			return true
		})
		entries = append(entries, entry)
	}
	for _, of := range moves {
		for _, m := range of {
			if m.Reason == ReasonMoved { // and is not where it was at first
				entries = append(entries, m)
			}
		}
	}
	slices.SortStableFunc(entries, compare)
	return entries
}

func compare(a, b Entry) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Message, b.Message))
}

// Tells says whether an event belongs to the history: those of Clarion, and those on whether a Node is ready.
func Tells(e *corev1.Event) bool {
	if e.InvolvedObject.Kind == "Node" && (e.Reason == "NodeReady" || e.Reason == "NodeNotReady") {
		return true
	}
	return strings.HasPrefix(e.Source.Component, "clarion") || strings.HasPrefix(e.ReportingController, "clarion")
}

// EntryOf is what an event tells.
func EntryOf(e *corev1.Event) Entry {
	o := e.InvolvedObject
	return Entry{
		Time: snapshot.EventTime(e), Type: e.Type, Reason: e.Reason, Kind: o.Kind,
		Object: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}, Message: e.Message, Count: e.Count,
	}
}

// movesOf has for every address on layer 2 how it came to the node that has it, by Service. Those without a reason have
// not moved since the first node had them.
func movesOf(s *snapshot.State) map[types.NamespacedName][]Entry {
	moves := map[types.NamespacedName][]Entry{}
	for _, announcer := range s.Announcers {
		for _, claim := range why.Carried(s, announcer) {
			services := s.Announced.Services(netip.MustParseAddr(claim.IP))
			if len(services) == 0 || len(claim.Interfaces) == 0 {
				continue
			}
			m := Entry{
				Time: claim.Since.Time, Type: corev1.EventTypeNormal, Kind: "Service", Object: services[0],
				Message: fmt.Sprintf("%s is announced from node %s", claim.IP, announcer.Name),
				Move:    &Move{Address: claim.IP, To: announcer.Name},
			}
			if len(claim.PreviousOwners) > 0 {
				m.Move.From = claim.PreviousOwners[0]
				m.Message += ", and was from " + m.Move.From + " before"
			}
			if claim.Epoch > 1 {
				m.Reason = ReasonMoved
			}
			moves[services[0]] = append(moves[services[0]], m)
		}
	}
	return moves
}

// tellsOf says whether an event is that of a move.
func tellsOf(e *corev1.Event, entry, move Entry) bool {
	return (e.Source.Host == move.Move.To || e.Source.Host == "") && entry.Time.Sub(move.Time).Abs() <= slack &&
		strings.HasPrefix(e.Message, fmt.Sprintf("%s is announced from node %s", move.Move.Address, move.Move.To))
}
