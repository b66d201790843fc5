package plan

import (
	"net/netip"
	"time"
)

// Layer2Plan is what the planner's node is to do. Its maps must not be modified, and are valid
// until the next plan.
type Layer2Plan struct {
	// Layer2 are the addresses to answer for and on which interfaces: all of them.
	Layer2 map[netip.Addr][]string
	// Proxied are the addresses to answer for in the place of another node: all of them.
	Proxied map[netip.Addr]Proxy
	// Relays are the addresses that were on other nodes, with where to relay what belongs to
	// connections that began there: all of them.
	Relays map[netip.Addr]Relay
	// Probes are the addresses of which to find out, on which interfaces, whether a host has them
	// that is no announcer: all of them. ReportProbe tells the planner.
	Probes map[netip.Addr][]string
	// Changed says whether Layer2 or the planner's Status may be other than after the last plan.
	Changed bool
	// Reannounce are addresses of Layer2 that another node has claimed, and so announced, while
	// this one had them, which it keeps nevertheless: the network must hear from this one again.
	Reannounce []netip.Addr
	// Quiesce are addresses of Layer2 that another node has announced since the last plan, and is
	// to have: this one only answers for them for a moment.
	Quiesce []netip.Addr
	// Moves since the last plan, by address.
	Moves []Move
	// Takeovers are those among the Moves of which to tell the other nodes.
	Takeovers []Takeover
	// GossipBlocked are the members that are alive although the gossip does not see them, sorted.
	GossipBlocked []string
	// Failures are the panics of this plan. Of what they concern, everything is as it was before.
	Failures []Failure
	// Wake is when to plan again even if nothing changes; zero: never.
	Wake time.Time
}

// Relay is where to send on, inside the node's network, what is sent to an address and belongs to
// connections that began elsewhere.
type Relay struct {
	// To is an address of the other node, which is reached by way of Interface.
	To        netip.Addr
	Interface string
}

// Proxy is what is needed to answer in the place of another node.
type Proxy struct {
	Interfaces []string
	// MAC is the hardware address of the other node, as text.
	MAC string
}

// Takeover is an address that a node announces in the place of another one. Nodes tell each other
// directly, before the API shows it: if another node dies meanwhile, those that do not know yet would
// share the address out again. And they do once more when it is recorded, for those whose API is away.
type Takeover struct {
	Address netip.Addr `json:"ip"`
	// Epoch of the claim that the node is about to record.
	Epoch int64 `json:"epoch"`
	// Planned says that the node that had the address is alive, and only should not have it any more. That node may not know yet.
	Planned bool `json:"planned,omitempty"`
	// Reluctant says that the node has the address only if no other can: it is drained, not ready, or its kube-proxy does not serve.
	Reluctant bool `json:"reluctant,omitempty"`
	// Recorded says that the node sees its claim in the API: of two claims of one epoch, the one that the API recorded first holds.
	Recorded bool `json:"recorded,omitempty"`
	// Version is the resource version of the node's Announcer that shows the claim; "" if none does. If a ClaimSlice shows it, Slice is
	// the name of that, and Version is of it.
	Version string `json:"version,omitempty"`
	Slice   string `json:"slice,omitempty"`
}

// Move is an address that comes to the planner's node or leaves it.
type Move struct {
	Address  netip.Addr
	From, To string
	Reason   MoveReason
	// Interfaces on which a gained address is announced.
	Interfaces []string
	// Verdict is why From does not announce the address any more, if it is alive.
	Verdict Reason
}

// takesOver says whether the address comes to the node from one that does not give it up itself, or from none. The API may be away, and an
// address that nobody has claimed one that a node had which could not record that.
func (m Move) takesOver() bool {
	return m.Reason == MoveIncumbentDown || m.Reason == MoveIncumbentIneligible || m.Reason == MoveNew
}
