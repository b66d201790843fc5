package plan

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/clarionlb/clarion/announce/election"
)

// toldClaims are claims that their makers have told this node themselves, because it may not know them: it was taken for dead and
// was not, or its API is away. They count like those that the API shows, until it shows them, and also if their maker has died:
// whoever follows it has to know which epoch comes next. One that was never recorded gives the epoch alone then, since others forget it
// (takeovers).
type toldClaims map[netip.Addr]toldClaim

// toldTimeout is how long a claim counts that is not recorded, and that its maker does not tell again, which it does twice in recordTimeout.
const toldTimeout = 2 * recordTimeout

// restoredTimeout is how long a claim counts that was recorded in an API that this node has not read yet. It takes as long as client-go leaves
// a server alone that does not answer, and as it takes to read all again.
const restoredTimeout = time.Minute

type toldClaim struct {
	node  string
	epoch int64
	// until is when one that is not recorded stops to count while its maker is in the gossip's sight, unless that tells it again: an
	// announcer that is started anew knows nothing of it. One that is recorded in a restored API stops then, too.
	until time.Time
	// recorded says that its maker sees it in the API, in a version of a ClaimSlice of this name, or of its Announcer if that is "".
	recorded       bool
	slice, version string
	// restored says that the API showed a later version when the claim was told, without it: the API was restored from a copy, and this node
	// has not read it since. Its versions say nothing.
	restored bool
}

func told(node string, t Takeover) toldClaim {
	return toldClaim{node: node, epoch: t.Epoch, recorded: t.Recorded, slice: t.Slice, version: t.Version}
}

// lasts is how long it counts from when it is told.
func (c toldClaim) lasts() time.Duration {
	if c.restored {
		return restoredTimeout
	}
	return toldTimeout
}

// shown says whether the API shows, of the maker, what it has recorded with the claim on an address, or later: what it says goes before.
func (c toldClaim) shown(v *View, ip netip.Addr) bool {
	return c.passed(v) && (!c.restored || v.shows(c.node, ip, c.epoch))
}

// shows says whether a node has recorded a claim of an epoch, or of a later one.
func (v *View) shows(node string, ip netip.Addr, epoch int64) bool {
	maker := v.announcers[node]
	return maker != nil && maker.claims[ip].Epoch >= epoch
}

// passed says whether the API shows the version in which the maker has recorded the claim, or a later one.
func (c toldClaim) passed(v *View) bool {
	maker := v.announcers[c.node]
	if maker == nil || !c.recorded {
		return false
	}
	version := maker.version
	if s := v.records[c.node].slices[c.slice]; s != nil {
		version = s.version
	}
	order, err := resourceversion.CompareResourceVersion(version, c.version)
	return err == nil && order >= 0
}

// claim is the told claim for the election. Of two claims of one epoch the API's order decides, so that one which only others see
// recorded comes after all that this node sees, and before those that nobody does.
func (c toldClaim) claim() election.Claim {
	order := uint64(election.Unrecorded)
	if c.recorded {
		order--
	}
	return election.Claim{Node: c.node, Epoch: c.epoch, Order: order}
}

// with returns the recorded claims on an address, and the told one if it beats them and counts among these nodes, which are sorted.
func (t toldClaims) with(recorded []election.Claim, ip netip.Addr, alive []string) []election.Claim {
	c, is := t[ip]
	if !is {
		return recorded
	}
	if best, claimed := election.Best(recorded); claimed && best.Epoch >= c.epoch {
		delete(t, ip)
		return recorded
	}
	if _, lives := slices.BinarySearch(alive, c.node); !lives && !c.recorded {
		return recorded
	}
	return append(recorded, c.claim())
}

// vouched is the node that has told the best claim on an address and has recorded it; "" for none. This node's API is behind, so that
// what it shows of that node's interfaces and of the endpoints there is no reason against it.
func (t toldClaims) vouched(ip netip.Addr, best election.Claim) string {
	if c, is := t[ip]; is && c.recorded && c.node == best.Node && c.epoch == best.Epoch {
		return c.node
	}
	return ""
}

// expire forgets the claims that the API shows, or of which it has later news, those of nodes that are no more, and those that are not recorded
// and not told any more. It returns the addresses.
func (t toldClaims) expire(s *step) (expired []netip.Addr) {
	for ip, c := range t {
		switch {
		case s.view.announcers[c.node] == nil || c.shown(s.view, ip):
		case c.recorded && !c.restored:
			continue
		case !c.recorded && !s.live.sees(c.node):
			c.until = s.now.Add(toldTimeout)
			t[ip] = c
			continue
		case s.now.Before(c.until):
			s.wake(c.until)
			continue
		}
		delete(t, ip)
		expired = append(expired, ip)
	}
	return expired
}

// again takes note that the maker of a claim tells it again.
func (t toldClaims) again(node string, told Takeover, now time.Time) {
	if c, is := t[told.Address]; is && c.node == node && c.epoch == told.Epoch {
		c.until = now.Add(c.lasts())
		t[told.Address] = c
	}
}

// unrecorded are the addresses that a member may announce although the API does not show it, sorted: of which it has told this node a claim or
// a takeover, or which it was heard to announce when this node had taken them over.
func (p *Layer2Planner) unrecorded(name string) (all []netip.Addr) {
	add := func(ip netip.Addr, epoch int64) {
		if best, _ := election.Best(p.view.electionClaims(ip)); epoch > best.Epoch {
			all = append(all, ip)
		}
	}
	for ip, c := range p.told {
		if c.node == name {
			add(ip, c.epoch)
		}
	}
	for ip, t := range p.takeovers {
		if o := p.claims.owned[ip]; t.node == name || t.node == p.node && o != nil && o.heard == name {
			add(ip, t.epoch)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// ObserveClaims takes note of claims that hold against this node's, as their maker tells. Who is told so may have been heard to
// announce the address: for a while, it relays to the maker what it does not know. It returns this node's claims that hold against
// those, which their maker should be told: two nodes of which one did not know of the other may have made claims of one epoch.
func (p *Layer2Planner) ObserveClaims(node string, claims []Takeover, now time.Time) (against []Takeover) {
	for _, c := range claims {
		own, holds := p.observeClaim(node, c, now)
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
func (p *Layer2Planner) observeClaim(node string, c Takeover, now time.Time) (against []Takeover, holds bool) {
	if !(election.Claim{Epoch: c.Epoch}).Counts() || len(p.view.byAddress[c.Address]) == 0 || node == p.node {
		return nil, false
	}
	if own, has := p.ownClaim(c.Address); has && !told(node, c).claim().Beats(told(p.node, own).claim()) {
		p.pending.contest(c.Address)
		if own.Recorded && p.disputes(node, c, own) {
			p.claims.owned[c.Address].disputed = true
		}
		return []Takeover{own}, false
	}
	claim := told(node, c)
	if claim.restored = claim.passed(p.view); claim.shown(p.view, c.Address) {
		return nil, true
	}
	if known, is := p.told[c.Address]; !is || claim.claim().Beats(known.claim()) {
		p.told[c.Address] = claim
		p.pending.reenter.add(c.Address)
	}
	p.told.again(node, c, now)
	return nil, true
}

// disputes says whether another node and this one both see both of their claims recorded, of one epoch, and each of them its own as the
// first one: a node that reads the API anew sees a claim in the version of its object that there is then. Both announce the address.
func (p *Layer2Planner) disputes(node string, c, own Takeover) bool {
	maker := p.view.announcers[node]
	return maker != nil && c.Recorded && c.Epoch == own.Epoch && maker.claims[c.Address].Epoch == c.Epoch
}

// ownClaim is this node's claim on an address as others are told; false if it has none.
func (p *Layer2Planner) ownClaim(ip netip.Addr) (Takeover, bool) {
	o := p.claims.owned[ip]
	if o == nil {
		return Takeover{}, false
	}
	own := Takeover{Address: ip, Epoch: o.Epoch}
	if p.recorded(ip, o.Epoch).Node != "" {
		own.Recorded, own.Version = true, p.view.announcers[p.node].version
		r := p.view.records[p.node]
		if _, slice, _ := r.find(ip); slice != "" {
			own.Slice, own.Version = slice, r.slices[slice].version
		}
	}
	return own, true
}

// ClaimsAgainst returns what another node has to know that was out of sight. It may have been taken for dead, and not have seen what the
// API shows since.
func (p *Layer2Planner) ClaimsAgainst(node string) (claims []Takeover) {
	if p.view.announcers[node] == nil {
		return nil
	}
	for ip := range p.claims.owned {
		if own, _ := p.ownClaim(ip); p.holdsAgainst(own, node) {
			claims = append(claims, own)
		}
	}
	slices.SortFunc(claims, func(a, b Takeover) int { return a.Address.Compare(b.Address) })
	return claims
}

// holdsAgainst says whether another node may take a claim of its own for the best one, and have the address, or that of a node that is
// not alive, and take it over: that is what is recorded, or what this node has taken over and does not see recorded, as it may not see
// what others have recorded either. Of two recorded claims of one epoch, each of both may take its own for the first one (disputes).
func (p *Layer2Planner) holdsAgainst(own Takeover, node string) bool {
	if c, both := p.view.announcers[node].claims[own.Address]; both {
		_, announced := p.claims.announced[own.Address]
		return own.Epoch > c.Epoch || own.Epoch == c.Epoch && announced
	}
	_, unrecorded := p.claims.takenOver(own.Address, p.takeovers, p.node)
	return unrecorded || slices.ContainsFunc(p.view.claims[own.Address], func(c claim) bool {
		_, alive := slices.BinarySearch(p.alive, c.Node)
		return c.Epoch < own.Epoch && !alive
	})
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

// ClaimsSince are this node's claims that it has recorded in ClaimSlices alone: what an announcer has to know that does not read them. They
// count there as if they were not recorded, until this node's Announcer lists them.
func (p *Layer2Planner) ClaimsSince() (since []Takeover) {
	for ip := range p.claims.owned {
		if own, _ := p.ownClaim(ip); own.Slice != "" {
			since = append(since, Takeover{Address: ip, Epoch: own.Epoch})
		}
	}
	slices.SortFunc(since, func(a, b Takeover) int { return a.Address.Compare(b.Address) })
	return since
}
