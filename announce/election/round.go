package election

import (
	"net/netip"
	"slices"
)

// Round is an election among one fixed set of live nodes. Another set of nodes needs another Round.
// Addresses can be changed one by one: that costs time for the addresses that the claims leave
// open, and none for the others. The decisions depend on the present nodes and addresses alone, not
// on the order in which they became known.
//
// A Round is not safe for concurrent use.
type Round struct {
	nodes  []string
	index  map[string]int
	hashes []uint64

	addresses map[netip.Addr]*candidacy
	groups    map[string]*group
	// assigned counts for each node the groups of which it is an assignee. An address without a
	// group counts as one.
	assigned []int
	// open are the addresses without an assignee. order is open sorted by age, nil when it must be
	// sorted again.
	open  map[*candidacy]struct{}
	order []*candidacy
	// changed and removed are what the next Decide has to report.
	changed []*candidacy
	removed map[netip.Addr]struct{}
	// stale says that the open addresses need another ballot.
	stale bool

	// ballots counts the ballots. It gives each its number.
	ballots uint64
	// successors has, for each node that was asked about, who would own its addresses without it.
	successors map[int]map[*candidacy]int
	// heirs has, for each node that was asked about, the nodes of Heir.
	heirs map[int]Set
}

// NewRound starts an election among the live nodes. They must be sorted and without duplicates.
func NewRound(nodes []string) *Round {
	r := &Round{
		nodes:      nodes,
		index:      make(map[string]int, len(nodes)),
		hashes:     make([]uint64, len(nodes)),
		addresses:  map[netip.Addr]*candidacy{},
		groups:     map[string]*group{},
		assigned:   make([]int, len(nodes)),
		open:       map[*candidacy]struct{}{},
		removed:    map[netip.Addr]struct{}{},
		successors: map[int]map[*candidacy]int{},
		heirs:      map[int]Set{},
	}
	for i, n := range nodes {
		r.index[n] = i
		r.hashes[i] = hashNode(n)
	}
	return r
}

// Nodes returns the live nodes. Their order gives the indices of sets and weights.
func (r *Round) Nodes() []string { return r.nodes }

// Set adds an address or replaces what is known of it. The decision changes with the next Decide.
func (r *Round) Set(ip netip.Addr, a Address) {
	c := r.addresses[ip]
	if c == nil {
		c = &candidacy{ip: ip, hash: hashAddress(ip), owner: nobody}
		r.addresses[ip] = c
		if _, again := r.removed[ip]; again {
			delete(r.removed, ip)
			r.markChanged(c)
		}
	} else {
		r.withdraw(c)
	}
	r.invalidate()
	c.created, c.eligible, c.lastResort, c.weights = a.Created, a.Eligible, a.LastResort, a.Weights
	best, claimed := Best(a.Claims)
	c.claimed, c.tentative, c.incumbentName = claimed, best.Tentative, best.Node
	c.incumbent, c.handoverTo, c.takenBy = r.indexOf(best.Node), r.indexOf(best.HandoverTo), r.indexOf(a.Taken)
	c.assessment = c.assess(nil)
	r.joinGroup(c, a.Group)

	if c.assignee == nobody {
		r.open[c] = struct{}{}
		r.order = nil
		return
	}
	if !c.group.hasAssignee(c.assignee, c) {
		r.assigned[c.assignee]++
	}
	r.setOwner(c, c.assignee)
}

// indexOf returns the index of the node; nobody if it is not alive.
func (r *Round) indexOf(node string) int {
	if node == "" {
		return nobody
	}
	if i, alive := r.index[node]; alive {
		return i
	}
	return nobody
}

// joinGroup puts the address into the group of that name.
func (r *Round) joinGroup(c *candidacy, name string) {
	if name == "" {
		return
	}
	c.group = r.groups[name]
	if c.group == nil {
		c.group = &group{name: name}
		r.groups[name] = c.group
	}
	c.group.add(c)
}

// Remove takes an address out of the election.
func (r *Round) Remove(ip netip.Addr) {
	c := r.addresses[ip]
	if c == nil {
		return
	}
	r.withdraw(c)
	r.invalidate()
	delete(r.addresses, ip)
	r.removed[ip] = struct{}{}
}

// withdraw takes the address out of everything that decides about other addresses.
func (r *Round) withdraw(c *candidacy) {
	if c.assignee == nobody {
		delete(r.open, c)
		r.order = nil
	} else if !c.group.hasAssignee(c.assignee, c) {
		r.assigned[c.assignee]--
	}
	if c.group == nil {
		return
	}
	if c.group.remove(c); len(c.group.members) == 0 {
		delete(r.groups, c.group.name)
	}
	c.group = nil
}

// invalidate has Decide, Successor and Heir decide again.
func (r *Round) invalidate() {
	r.stale = true
	clear(r.successors)
	clear(r.heirs)
}

// setOwner makes a node the owner of an address.
func (r *Round) setOwner(c *candidacy, node int) {
	if c.owner != node {
		c.owner = node
		r.markChanged(c)
	}
}

// markChanged has the next Decide report the address.
func (r *Round) markChanged(c *candidacy) {
	if c.unreported {
		return
	}
	c.unreported = true
	r.changed = append(r.changed, c)
}

// Decide brings the decisions up to date. It returns the addresses whose owner has changed since
// the last Decide, in no particular order.
func (r *Round) Decide() []netip.Addr {
	if r.stale {
		r.assign()
		r.stale = false
	}
	changed := make([]netip.Addr, 0, len(r.changed)+len(r.removed))
	for _, c := range r.changed {
		c.unreported = false
		if r.addresses[c.ip] == c {
			changed = append(changed, c.ip)
		}
	}
	for ip := range r.removed {
		changed = append(changed, ip)
	}
	clear(r.changed)
	r.changed = r.changed[:0]
	clear(r.removed)
	return changed
}

// assign gives owners to the open addresses.
func (r *Round) assign() {
	if r.order == nil {
		for c := range r.open {
			r.order = append(r.order, c)
		}
		slices.SortFunc(r.order, older)
	}
	b := r.newBallot(nil)
	b.cast(r.order)
	for _, c := range r.order {
		r.setOwner(c, c.elected)
	}
}

// Decision returns who owns the address as of the last Decide. It is the zero Decision for an
// address that is not in the election.
func (r *Round) Decision(ip netip.Addr) Decision {
	c := r.addresses[ip]
	if c == nil {
		return Decision{}
	}
	d := Decision{Why: c.why, Incumbent: c.incumbentName, Tentative: c.tentative}
	if c.owner == nobody {
		d.Why = Nobody
	} else {
		d.Owner = r.nodes[c.owner]
	}
	return d
}
