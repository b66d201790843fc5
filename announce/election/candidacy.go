package election

import (
	"cmp"
	"net/netip"
)

// nobody is the index of no node.
const nobody = -1

// candidacy is one address in the election, with all that decides which node owns it and what was
// decided. It has so many fields because an update of one address must find all of its state in one
// place.
type candidacy struct {
	ip         netip.Addr
	hash       uint64
	created    int64
	eligible   Set
	lastResort Set
	weights    Weights
	// group is nil for an address without a group.
	group *group

	// The best claim, if there is one: its node by name and by index, and the node that it hands
	// the address over to. A node that is dead has the index nobody.
	claimed               bool
	tentative             bool
	incumbentName         string
	incumbent, handoverTo int
	// takenBy is the node that has taken the address over, although its claim is not known yet;
	// nobody for none.
	takenBy int

	assessment
	owner int
	// unreported says that Decide has yet to report a change of the owner.
	unreported bool

	// elected is the node that the ballot with this number has chosen.
	elected int
	ballot  uint64
}

// assessment is what follows for an address from its own claims and nodes, without a look at other
// addresses.
type assessment struct {
	// candidates are the live nodes that may own the address.
	candidates Set
	why        Why
	// assignee is the node to which the best claim gives the address, or that has taken it over. It
	// is nobody if the address is open: then a ballot elects the owner.
	assignee int
}

// assess assesses the address among the live nodes but for some; nil for none.
func (c *candidacy) assess(without Set) assessment {
	eligible := c.eligible.without(without)
	a := assessment{candidates: eligible.without(c.lastResort), assignee: nobody}
	lastResorts := a.candidates.empty() // every candidate is a last resort
	if lastResorts {
		a.candidates = eligible
	}
	switch {
	case !c.claimed:
		a.why = Unclaimed
	case a.candidates.Has(c.handoverTo) && c.handoverTo != c.incumbent:
		a.why, a.assignee = HandedOver, c.handoverTo
	case c.incumbent == nobody || without.Has(c.incumbent):
		a.why = IncumbentDown
	case !a.candidates.Has(c.incumbent):
		a.why = IncumbentIneligible
	default:
		a.why, a.assignee = Incumbent, c.incumbent
	}
	switch {
	case !a.candidates.Has(c.takenBy):
	case a.assignee == nobody:
		a.assignee = c.takenBy
	case lastResorts && a.why == Incumbent && c.takenBy != c.incumbent:
		// When takenBy took the address over, the incumbent was the worse candidate. takenBy
		// announces the address now, and to give it back would be one move more.
		a.why, a.assignee = IncumbentIneligible, c.takenBy
	}
	return a
}

// older orders addresses by age. Addresses of the same age are in the order of their values.
func older(a, b *candidacy) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return a.ip.Compare(b.ip)
}
