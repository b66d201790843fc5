package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/announce/election"
)

// electorate is who may announce what on layer 2, and whom the election gives it to: what follows
// from the view, the live members and the node's interfaces. Nothing in it is remembered: every
// rebuild derives it anew.
type electorate struct {
	view *View
	node string
	// all are the node's interfaces, and interfaces what is relevant of them.
	all, interfaces []Interface

	candidates
	round *election.Round // without nodes before the first plan
}

// rebuild derives everything that does not depend on a single address. No address is entered yet.
func (e *electorate) rebuild(live *liveSet) {
	e.interfaces = e.view.relevant(e.all)
	e.candidates = newCandidates(e.view, live.alive(e.view.NodeReady))
	for i, name := range e.alive {
		if live.keepsOnly(name) {
			e.keepOnly.Add(i)
		}
	}
	e.round = election.NewRound(e.alive)
}

// standing is what this node knows of an address besides the claims on it.
type standing struct {
	// incumbent has made the best of the claims, and taken is the node that has taken the address over since; "" for none.
	incumbent, taken string
	// able says that taken can announce the address whatever this node has last seen of it.
	able bool
	// vouched is a node that may announce the address whatever this one has last seen of it, and absent one that should and does not;
	// "" for none.
	vouched, absent string
}

// enter puts an address of Services, with the claims that are recorded, into the election as it is now.
func (e *electorate) enter(ip netip.Addr, services []*service, recorded []election.Claim, known standing) {
	address := election.Address{
		Created:    services[0].created,
		Group:      e.view.group(ip),
		Claims:     recorded,
		Taken:      known.taken,
		Eligible:   election.NewSet(len(e.alive)),
		LastResort: e.lastResort,
	}
	requests, _ := e.requests(ip)
	for _, r := range requests {
		candidates := e.candidatesFor(r, ip)
		if r.on == nil {
			address.Eligible.AddAll(candidates)
			continue
		}
		for _, name := range r.on {
			if r.unconfirmed && name == e.node {
				continue
			}
			if i, alive := slices.BinarySearch(e.alive, name); alive && candidates.Has(i) {
				address.Eligible.Add(i)
			}
		}
	}
	e.keepOnly.All(func(i int) {
		if name := e.alive[i]; name != known.incumbent && name != known.taken {
			address.Eligible.Remove(i)
		}
	})
	if i, alive := slices.BinarySearch(e.alive, known.taken); alive && known.able {
		address.Eligible.Add(i)
	}
	if i, alive := slices.BinarySearch(e.alive, known.absent); alive {
		address.Eligible.Remove(i)
	}
	if i, alive := slices.BinarySearch(e.alive, known.vouched); alive {
		address.Eligible.Add(i)
		address.LastResort = slices.Clone(e.lastResort)
		address.LastResort.Remove(i)
	}
	address.Weights = e.weightsFor(requests)
	e.round.Set(ip, address)
}

// candidatesFor are the nodes that can announce an address for a request, wherever its endpoints
// are. Everybody goes by what nodes have recorded; only this node knows what it has lost since.
func (e *electorate) candidatesFor(r announceRequest, ip netip.Addr) election.Set {
	set := e.reaches[r.advertisement].at(ip)
	if i, alive := slices.BinarySearch(e.alive, e.node); alive && set.Has(i) && !e.advertisements[r.advertisement].covers(ip, e.interfaces) {
		set.Remove(i)
	}
	return set
}

// requests collects which advertisements want an address announced, and for what. If there is none,
// the reason says why, from the Service that came closest.
func (e *electorate) requests(ip netip.Addr) ([]announceRequest, Reason) {
	return e.candidates.requests(ip, e.view.byAddress[ip])
}

// interfacesFor are the node's interfaces on which an address is to be announced, by name: those of
// all requests that the node meets.
func (e *electorate) interfacesFor(ip netip.Addr) []string {
	own, found := e.member(e.node)
	if !found {
		return nil
	}
	requests, _ := e.requests(ip)
	return e.interfacesOf(ip, e.interfaces, slices.DeleteFunc(requests, func(r announceRequest) bool {
		return e.judge(own, ip, []announceRequest{r}) != ""
	}))
}

// interfacesOf are those of the interfaces on which requests have an address announced, by name: of
// those in the same LAN one, and rather one that is asked for by name.
func (e *electorate) interfacesOf(ip netip.Addr, interfaces []Interface, requests []announceRequest) (names []string) {
	var asked, other []Interface
	for _, r := range requests {
		a := e.advertisements[r.advertisement]
		if on := a.interfacesFor(ip, interfaces); len(a.interfaces) > 0 {
			asked = append(asked, on...)
		} else {
			other = append(other, on...)
		}
	}
	for _, i := range onePerLAN(append(preferred(ip, asked, interfaces), other...)) {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

// judge says why a node may not announce an address; "" if it may. One request that it can meet is
// enough; of those that it cannot, the reason comes from the one that came closest.
func (e *electorate) judge(m *member, ip netip.Addr, requests []announceRequest) Reason {
	if m.barred != "" {
		return m.barred
	}
	closest := NotSelected
	for _, r := range requests {
		if !e.reaches[r.advertisement].selected.Has(m.index) {
			continue
		}
		if r.on != nil {
			if _, local := slices.BinarySearch(r.on, m.name); !local {
				_, serves := slices.BinarySearch(r.serving, m.name)
				switch {
				case serves && closest != NoInterface:
					closest = EndpointsTerminate
				case closest == NotSelected:
					closest = NoLocalEndpoint
				}
				continue
			}
		}
		if e.candidatesFor(r, ip).Has(m.index) {
			return ""
		}
		closest = NoInterface
	}
	return closest
}

// verdict is why a node does not announce an address.
func (e *electorate) verdict(node string, ip netip.Addr) Reason {
	requests, refused := e.requests(ip)
	if refused != "" {
		return refused
	}
	if m, found := e.member(node); found {
		return cmp.Or(e.judge(m, ip, requests), m.reluctant, StandsBy)
	}
	return NoAnnouncer
}

// recorded is the node's claim of an epoch as the API has it; the zero Claim if that does not have
// it, or another one beats it.
func (e *electorate) recorded(ip netip.Addr, epoch int64) election.Claim {
	if best, claimed := election.Best(e.view.electionClaims(ip)); claimed && best.Node == e.node && best.Epoch == epoch {
		return best
	}
	return election.Claim{}
}
