package plan

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// Takeover is an address that a node announces in the place of another one, before the API shows that it does. Nodes tell each
// other directly: if another node dies meanwhile, those that do not know yet would share the address out again.
type Takeover struct {
	Address netip.Addr `json:"ip"`
	// Epoch of the claim that the node is about to record.
	Epoch int64 `json:"epoch"`
}

// takeover is one of which the planner knows.
type takeover struct {
	node  string
	epoch int64
	// until is when it stops to count: the node's claim should be recorded by then, and if the API is away, nodes that were not
	// told must not disagree for long.
	until time.Time
}

// ObserveTakeovers takes note of what another node has taken over.
func (p *Layer2Planner) ObserveTakeovers(node string, takeovers []Takeover, now time.Time) {
	for _, t := range takeovers {
		p.noteTakeover(t.Address, takeover{node, t.Epoch, now.Add(recordTimeout)})
	}
}

// noteTakeover has a takeover count, unless a later one is known.
func (p *Layer2Planner) noteTakeover(ip netip.Addr, t takeover) {
	if known, is := p.takeovers[ip]; is && known.epoch >= t.epoch {
		return
	}
	p.takeovers[ip] = t
	p.toReenter[ip] = struct{}{}
}

// takenOverBy is the node that has taken an address over; "" for none.
func (p *Layer2Planner) takenOverBy(ip netip.Addr, best election.Claim) string {
	t, is := p.takeovers[ip]
	if is && best.Epoch >= t.epoch {
		delete(p.takeovers, ip)
	}
	if !is || best.Epoch >= t.epoch || p.states[t.node] == AnnouncerDown {
		return ""
	}
	return t.node
}

// expireTakeovers forgets takeovers whose time is over, and returns when that of the next one is.
func (p *Layer2Planner) expireTakeovers(now time.Time) (wake time.Time) {
	for ip, t := range p.takeovers {
		if now.Before(t.until) {
			wake = Earlier(wake, t.until)
			continue
		}
		delete(p.takeovers, ip)
		p.toReenter[ip] = struct{}{}
	}
	return wake
}

// takeoverOf returns the takeover that a move is; false if it is none, or the API shows it already.
func (p *Layer2Planner) takeoverOf(m Move, now time.Time) (Takeover, bool) {
	o := p.owned[m.Address]
	if m.To != p.node || m.Reason != MoveIncumbentDown && m.Reason != MoveIncumbentIneligible || p.recorded(m.Address, o).Node != "" {
		return Takeover{}, false
	}
	p.noteTakeover(m.Address, takeover{p.node, o.Epoch, now.Add(recordTimeout)})
	return Takeover{m.Address, o.Epoch}, true
}
