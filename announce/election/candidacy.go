package election

import (
	"cmp"
	"net/netip"
	"slices"
)

// nobody is the index of no node.
const nobody = -1

// candidacy is an address in the election.
type candidacy struct {
	ip         netip.Addr
	hash       uint64
	created    int64
	eligible   Set
	lastResort Set
	weights    Weights
	// group is nil for an address without others.
	group *group

	// The best claim: its maker, and the node that it hands to. Taker is the node that has taken the address over without one.
	claimed                        bool
	tentative                      bool
	incumbentName                  string
	incumbent, handoverTo, takenBy int

	assessment
	owner int
	// unreported says that the owner is another one than after the last Decide.
	unreported bool

	// elected is where the ballot of that number put the address.
	elected int
	ballot  uint64
}

// assessment is what follows for an address from its own claims and nodes.
type assessment struct {
	// candidates are the nodes that may own the address.
	candidates Set
	why        Why
	// assignee is the node to which the best claim gives the address, or that has taken it over; nobody if it is open.
	assignee int
}

// assess finds the standing among the live nodes except one, which may be nobody.
func (c *candidacy) assess(without int) assessment {
	eligible := c.eligible
	if eligible.Has(without) {
		eligible = slices.Clone(eligible)
		eligible.Remove(without)
	}
	s := assessment{candidates: eligible.without(c.lastResort), assignee: nobody}
	alike := s.candidates.empty() // all that could own it are last resorts
	if alike {
		s.candidates = eligible
	}
	switch {
	case !c.claimed:
		s.why = Unclaimed
	case s.candidates.Has(c.handoverTo) && c.handoverTo != c.incumbent:
		s.why, s.assignee = HandedOver, c.handoverTo
	case c.incumbent == nobody || c.incumbent == without:
		s.why = IncumbentDown
	case !s.candidates.Has(c.incumbent):
		s.why = IncumbentIneligible
	default:
		s.why, s.assignee = Incumbent, c.incumbent
	}
	switch {
	case !c.claimed || !s.candidates.Has(c.takenBy):
	case s.assignee == nobody:
		s.assignee = c.takenBy
	case alike && s.why == Incumbent && c.takenBy != c.incumbent:
		// The taker was fitter when it took the address over, and announces it. To give it back would be one move more.
		s.why, s.assignee = IncumbentIneligible, c.takenBy
	}
	return s
}

func older(a, b *candidacy) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return a.ip.Compare(b.ip)
}
