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
	claimed              bool
	tentative            bool
	holder               string
	maker, handTo, taker int

	standing
	owner int
	// unreported says that the owner is another one than after the last Decide.
	unreported bool

	// seat is where the ballot of that number put the address.
	seat   int
	ballot uint64
}

// standing is what follows for an address from its own claims and nodes.
type standing struct {
	// fit are the nodes that may own the address.
	fit Set
	why Why
	// keeper is the node to which the best claim gives the address, or that has taken it over; nobody if it is open.
	keeper int
}

// stand finds the standing among the live nodes except one, which may be nobody.
func (c *candidacy) stand(without int) standing {
	eligible := c.eligible
	if eligible.Has(without) {
		eligible = slices.Clone(eligible)
		eligible.Remove(without)
	}
	s := standing{fit: eligible.without(c.lastResort), keeper: nobody}
	alike := s.fit.empty() // all that could own it are last resorts
	if alike {
		s.fit = eligible
	}
	switch {
	case !c.claimed:
		s.why = Unclaimed
	case s.fit.Has(c.handTo) && c.handTo != c.maker:
		s.why, s.keeper = HandedOver, c.handTo
	case c.maker == nobody || c.maker == without:
		s.why = IncumbentDown
	case !s.fit.Has(c.maker):
		s.why = IncumbentIneligible
	default:
		s.why, s.keeper = Incumbent, c.maker
	}
	switch {
	case !c.claimed || !s.fit.Has(c.taker):
	case s.keeper == nobody:
		s.keeper = c.taker
	case alike && s.why == Incumbent && c.taker != c.maker:
		// The taker was fitter when it took the address over, and announces it. To give it back would be one move more.
		s.why, s.keeper = IncumbentIneligible, c.taker
	}
	return s
}

func older(a, b *candidacy) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return a.ip.Compare(b.ip)
}
