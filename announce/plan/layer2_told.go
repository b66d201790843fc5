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
}

// with returns the recorded claims on an address, and the told one if it goes beyond them.
func (t toldClaims) with(recorded []election.Claim, ip netip.Addr) []election.Claim {
	told, is := t[ip]
	if !is {
		return recorded
	}
	if best, claimed := election.Best(recorded); claimed && best.Epoch >= told.epoch {
		delete(t, ip)
		return recorded
	}
	return append(recorded, election.Claim{Node: told.node, Epoch: told.epoch, Order: election.Unrecorded})
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
// announce the address: for a while, it relays to the maker what it does not know.
func (p *Layer2Planner) ObserveClaims(node string, claims []Takeover, now time.Time) {
	for _, c := range claims {
		if p.observeClaim(node, c) {
			p.relays.notNoticedUntil(c.Address, now.Add(heardPeriod))
			p.pending.revisit.add(c.Address)
		}
	}
}

// observeClaim takes note of a claim that its maker tells, and returns whether it holds against this node's. What this node has
// claimed since counts for more. Of addresses that no Service has, nothing is remembered.
func (p *Layer2Planner) observeClaim(node string, c Takeover) bool {
	counts := (election.Claim{Epoch: c.Epoch}).Counts() && len(p.view.byAddress[c.Address]) > 0
	if o := p.claims.owned[c.Address]; !counts || node == p.node || o != nil && o.Epoch >= c.Epoch {
		return false
	}
	if p.told[c.Address].epoch < c.Epoch {
		p.told[c.Address] = toldClaim{node, c.Epoch}
		p.pending.reenter.add(c.Address)
	}
	return true
}

// ClaimsAgainst returns the addresses that this node has and another one has recorded a claim on that does not hold: what that
// node has to know if it was taken for dead and was not.
func (p *Layer2Planner) ClaimsAgainst(node string) (claims []Takeover) {
	other := p.view.announcers[node]
	if other == nil {
		return nil
	}
	for ip, c := range other.claims {
		if o := p.claims.owned[ip]; o != nil && o.Epoch > c.Epoch {
			claims = append(claims, Takeover{Address: ip, Epoch: o.Epoch})
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
	return Takeover{Address: ip, Epoch: o.Epoch}, true
}
