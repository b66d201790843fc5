package plan

import (
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/announce/election"
)

// Claim is the claim that holds on an address, as its node has recorded it.
type Claim struct {
	Node string
	// Interfaces on which the node announces the address; none while the claim is tentative.
	Interfaces []string
	Epoch      int64
	// Since is when the node made its first claim on the address.
	Since time.Time
}

// Claim returns which of the recorded claims on an address holds, by the rule that the election
// goes by; false if there is none. Whether its node is alive is not asked. The interfaces must not
// be modified.
func (v *View) Claim(ip netip.Addr) (Claim, bool) {
	best, claimed := election.Best(v.electionClaims(ip))
	if !claimed {
		return Claim{}, false
	}
	recorded := v.announcers[best.Node].claims[ip]
	return Claim{Node: best.Node, Interfaces: recorded.interfaces, Epoch: best.Epoch, Since: recorded.since}, true
}

// electionClaims are the claims on an address as the election wants them.
func (v *View) electionClaims(ip netip.Addr) []election.Claim {
	claims := make([]election.Claim, len(v.claims[ip]))
	for i, c := range v.claims[ip] {
		claims[i] = c.Claim
	}
	return claims
}
