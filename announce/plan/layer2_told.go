package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// toldClaims are claims that their makers have told this node themselves, because it does not know them: it was taken for dead,
// and was not. They count like those that the API shows, until it shows them or their maker is not alive.
type toldClaims map[netip.Addr]toldClaim

type toldClaim struct {
	node  string
	epoch int64
	// recorded says that its maker sees it in the API.
	recorded bool
}

func told(node string, t Takeover) toldClaim { return toldClaim{node, t.Epoch, t.Recorded} }

// claim is the told claim for the election. Of two claims of one epoch the API's order decides, so that one which only others see
// recorded comes after all that this node sees, and before those that nobody does.
func (c toldClaim) claim() election.Claim {
	order := uint64(election.Unrecorded)
	if c.recorded {
		order--
	}
	return election.Claim{Node: c.node, Epoch: c.epoch, Order: order}
}

// with returns the recorded claims on an address, and the told one if it beats them.
func (t toldClaims) with(recorded []election.Claim, ip netip.Addr) []election.Claim {
	c, is := t[ip]
	if !is {
		return recorded
	}
	if best, claimed := election.Best(recorded); claimed && best.Epoch >= c.epoch {
		delete(t, ip)
		return recorded
	}
	return append(recorded, c.claim())
}

// keep forgets the claims of all but the nodes that are alive, which are sorted.
func (t toldClaims) keep(alive []string) {
	for ip, c := range t {
		if _, lives := slices.BinarySearch(alive, c.node); !lives {
			delete(t, ip)
		}
	}
}

// ObserveClaims takes note of claims that hold against this node's, as their maker tells. Who is told so may have been heard to
// announce the address: for a while, it relays to the maker what it does not know. It returns this node's claims that hold against
// those, which their maker should be told: two nodes of which one did not know of the other may have made claims of one epoch.
func (p *Layer2Planner) ObserveClaims(node string, claims []Takeover, now time.Time) (against []Takeover) {
	for _, c := range claims {
		own, holds := p.observeClaim(node, c)
		against = append(against, own...)
		if holds {
			p.relays.notNoticedUntil(c.Address, now.Add(heardPeriod))
			p.pending.revisit.add(c.Address)
		}
	}
	return against
}

// observeClaim takes note of a claim that its maker tells, and returns this node's claim if that holds against it, and whether it holds
// against this node's. Of addresses that no Service has, nothing is remembered.
func (p *Layer2Planner) observeClaim(node string, c Takeover) (against []Takeover, holds bool) {
	if !(election.Claim{Epoch: c.Epoch}).Counts() || len(p.view.byAddress[c.Address]) == 0 || node == p.node {
		return nil, false
	}
	if own, has := p.ownClaim(c.Address); has && !told(node, c).claim().Beats(told(p.node, own).claim()) {
		return []Takeover{own}, false
	}
	if known, is := p.told[c.Address]; !is || told(node, c).claim().Beats(known.claim()) {
		p.told[c.Address] = told(node, c)
		p.pending.reenter.add(c.Address)
	}
	return nil, true
}

// ownClaim is this node's claim on an address as others are told; false if it has none.
func (p *Layer2Planner) ownClaim(ip netip.Addr) (Takeover, bool) {
	o := p.claims.owned[ip]
	if o == nil {
		return Takeover{}, false
	}
	return Takeover{Address: ip, Epoch: o.Epoch, Recorded: p.recorded(ip, o.Epoch).Node != ""}, true
}

// ClaimsAgainst returns what another node has to know if it was taken for dead and was not: the addresses that this node has, if the
// other one has recorded a claim that does not hold, and those that this node has taken over and does not see recorded, as it may not
// see what the other one has recorded either.
func (p *Layer2Planner) ClaimsAgainst(node string) (claims []Takeover) {
	other := p.view.announcers[node]
	if other == nil {
		return nil
	}
	for ip, c := range other.claims {
		if own, has := p.ownClaim(ip); has && own.Epoch > c.Epoch {
			claims = append(claims, own)
		}
	}
	for ip := range p.takeovers {
		_, unrecorded := p.claims.takenOver(ip, p.takeovers, p.node)
		if _, both := other.claims[ip]; unrecorded && !both {
			own, _ := p.ownClaim(ip)
			claims = append(claims, own)
		}
	}
	slices.SortFunc(claims, func(a, b Takeover) int { return a.Address.Compare(b.Address) })
	return claims
}

// ClaimOn returns this node's claim on an address that it announces and hands over to nobody; false if it does not.
func (p *Layer2Planner) ClaimOn(ip netip.Addr) (Takeover, bool) {
	_, announced := p.claims.announced[ip]
	o := p.claims.owned[ip]
	if !announced || o.to != "" || !o.until.IsZero() {
		return Takeover{}, false
	}
	return p.ownClaim(ip)
}
