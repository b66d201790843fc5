package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// wishedProbes are the addresses that Services ask for by name and none has, and for which this node is to
// ask the network: before one is in a Service's status. From then on, all nodes send what is for it to
// the Service, and reach no host that has it.
type wishedProbes map[netip.Addr]*wishedProbe

type wishedProbe struct {
	// clear says that nobody answered the last time, and next is when to ask again.
	clear bool
	next  time.Time
}

// update finds out which addresses are this node's to ask for, where that may have changed.
func (w wishedProbes) update(s *step, changed addressSet, all bool) {
	if all {
		changed = maps.Clone(changed)
		for ip := range s.view.wished {
			changed.add(ip)
		}
		for ip := range w {
			changed.add(ip)
		}
	}
	for ip := range changed {
		known, mine := w[ip], s.prober(ip) == s.node
		switch {
		case mine && known == nil:
			w[ip] = &wishedProbe{next: s.now}
		case !mine && known != nil:
			s.plan.Changed = s.plan.Changed || known.clear
			delete(w, ip)
		}
	}
}

// plan adds what to probe. One in conflict is probed as such.
func (w wishedProbes) plan(s *step, conflicts conflicts) {
	for ip, p := range w {
		switch on := s.interfacesOf(ip, s.interfaces, s.wishRequests(ip)); {
		case conflicts[ip] != nil || len(on) == 0:
		case p.next.After(s.now):
			s.wake(p.next)
		default:
			s.plan.Probes[ip] = on
		}
	}
}

// report takes what came of a probe, and returns whether it is news.
func (w wishedProbes) report(ip netip.Addr, clear bool, now time.Time) (news bool) {
	p := w[ip]
	if p == nil {
		return false
	}
	news = p.clear != clear
	p.clear, p.next = clear, now.Add(conflictRetry)
	return news
}

// status is what the node records of them.
func (w wishedProbes) status() (clear []string) {
	for _, ip := range slices.SortedFunc(maps.Keys(w), netip.Addr.Compare) {
		if w[ip].clear {
			clear = append(clear, ip.String())
		}
	}
	return clear
}

// Prober is the node that asks the network, as of the last plan, for an address which a Service asks for
// by name; "" if none does: a Service has it, no L2Advertisement would have it announced or one of them
// without a probe, or no node can.
func (p *Layer2Planner) Prober(ip netip.Addr) string { return p.prober(ip) }

func (e *electorate) prober(ip netip.Addr) string {
	if len(e.view.byAddress[ip]) > 0 {
		return ""
	}
	able, eager := election.NewSet(len(e.alive)), election.NewSet(len(e.alive))
	for _, r := range e.wishRequests(ip) {
		if e.advertisements[r.advertisement].unprobed {
			return ""
		}
		able.AddAll(e.candidatesFor(r, ip))
	}
	e.keepOnly.All(able.Remove)
	eager.AddAll(able)
	e.lastResort.All(eager.Remove)
	if first := election.First(e.alive, eager, ip); first != "" {
		return first
	}
	return election.First(e.alive, able, ip)
}

// wishRequests are which L2Advertisements would have an address announced if the Services had it that ask
// for it.
func (e *electorate) wishRequests(ip netip.Addr) (requests []announceRequest) {
	pool := poolOf(e.pools, ip)
	for _, w := range e.view.wished[ip] {
		for _, i := range e.byPool[pool] {
			if e.selections[i].selectsService(w.labels) {
				requests = append(requests, announceRequest{advertisement: i})
			}
		}
	}
	return requests
}
