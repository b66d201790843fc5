package election

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// Address is what decides about an address.
type Address struct {
	// Created orders the addresses that need a new owner: smaller is older and is served first.
	Created int64
	// Claims of all nodes, dead ones too.
	Claims []Claim
	// Eligible are the live nodes that may announce the address.
	Eligible Set
}

// Why is the reason for which an address has its owner.
type Why int

const (
	// Nobody : no live node is eligible.
	Nobody Why = iota
	// Holds : the owner has the best claim.
	Holds
	// Unclaimed : no node has a claim.
	Unclaimed
	// HolderDown : the node with the best claim is not alive.
	HolderDown
	// HolderUnfit : the node with the best claim is alive but not eligible.
	HolderUnfit
)

// Decision is who owns an address.
type Decision struct {
	// Owner is the node's name; "" if nobody can own the address.
	Owner string
	// Why it is the owner.
	Why Why
	// Holder is the node with the best claim, dead or alive; "" without any claim.
	Holder string
}

// Round is an election among one fixed set of live nodes. Addresses can be changed one by one, at a cost that depends on
// how many addresses need a new owner and not on how many there are; another set of nodes needs another Round. The decisions
// depend on the present nodes and addresses alone, not on how they came about.
//
// A Round is not safe for concurrent use.
type Round struct {
	nodes  []string
	index  map[string]int
	hashes []uint64

	addresses map[netip.Addr]*candidacy
	// held counts per node the addresses that it keeps by its claim.
	held []int
	// open are the addresses without such a holder; order is open sorted, nil when it must be sorted again.
	open  map[netip.Addr]*candidacy
	order []*candidacy
	// changed collects what Decide has to report.
	changed map[netip.Addr]struct{}
	stale   bool
}

type candidacy struct {
	ip       netip.Addr
	hash     uint64
	created  int64
	eligible Set
	why      Why
	holder   string
	owner    int
}

const nobody = -1

// NewRound starts an election among the live nodes, which must be sorted and without duplicates.
func NewRound(nodes []string) *Round {
	r := &Round{
		nodes:     nodes,
		index:     make(map[string]int, len(nodes)),
		hashes:    make([]uint64, len(nodes)),
		addresses: map[netip.Addr]*candidacy{},
		held:      make([]int, len(nodes)),
		open:      map[netip.Addr]*candidacy{},
		changed:   map[netip.Addr]struct{}{},
	}
	for i, n := range nodes {
		r.index[n] = i
		r.hashes[i] = hashNode(n)
	}
	return r
}

// Nodes returns the live nodes. Their order gives the indices of Address.Eligible.
func (r *Round) Nodes() []string { return r.nodes }

// Set adds an address or replaces what is known of it. The decision changes with the next Decide.
func (r *Round) Set(ip netip.Addr, a Address) {
	c := r.addresses[ip]
	if c == nil {
		c = &candidacy{ip: ip, hash: hashAddress(ip), owner: nobody}
		r.addresses[ip] = c
	} else {
		r.forget(c)
	}
	before := c.owner
	c.created, c.eligible, c.holder = a.Created, a.Eligible, ""

	if best, claimed := Best(a.Claims); !claimed {
		c.why = Unclaimed
	} else if i, alive := r.index[best.Node]; !alive {
		c.why, c.holder = HolderDown, best.Node
	} else if !a.Eligible.Has(i) {
		c.why, c.holder = HolderUnfit, best.Node
	} else {
		c.why, c.holder, c.owner = Holds, best.Node, i
	}
	if c.why == Holds {
		r.held[c.owner]++
	} else {
		r.open[ip] = c
		r.order = nil
	}
	if c.owner != before {
		r.changed[ip] = struct{}{}
	}
	r.stale = true
}

// Remove takes an address out of the election.
func (r *Round) Remove(ip netip.Addr) {
	c := r.addresses[ip]
	if c == nil {
		return
	}
	r.forget(c)
	delete(r.addresses, ip)
	r.changed[ip] = struct{}{}
	r.stale = true
}

// forget takes the part that an address plays for the others back.
func (r *Round) forget(c *candidacy) {
	if c.why == Holds {
		r.held[c.owner]--
	} else {
		delete(r.open, c.ip)
		r.order = nil
	}
}

// Decide brings the decisions up to date and returns the addresses whose owner is another one than after the last Decide, in
// no particular order.
func (r *Round) Decide() []netip.Addr {
	if r.stale {
		r.assign()
		r.stale = false
	}
	changed := make([]netip.Addr, 0, len(r.changed))
	for ip := range r.changed {
		changed = append(changed, ip)
	}
	clear(r.changed)
	return changed
}

// assign gives every open address, oldest first, to the eligible node that carries least.
func (r *Round) assign() {
	if r.order == nil {
		for _, c := range r.open {
			r.order = append(r.order, c)
		}
		sort.Slice(r.order, func(i, j int) bool { return older(r.order[i], r.order[j]) })
	}
	load := slices.Clone(r.held)
	for _, c := range r.order {
		owner, best := nobody, uint64(0)
		c.eligible.All(func(i int) {
			if owner != nobody && load[i] > load[owner] {
				return
			}
			s := score(r.hashes[i], c.hash)
			if owner == nobody || load[i] < load[owner] || s > best {
				owner, best = i, s
			}
		})
		if owner != nobody {
			load[owner]++
		}
		if owner != c.owner {
			c.owner = owner
			r.changed[c.ip] = struct{}{}
		}
	}
}

func older(a, b *candidacy) bool {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c < 0
	}
	return a.ip.Less(b.ip)
}

// Decision returns who owns an address as of the last Decide; the zero Decision for an address that is not in the election.
func (r *Round) Decision(ip netip.Addr) Decision {
	c := r.addresses[ip]
	if c == nil {
		return Decision{}
	}
	if c.owner == nobody {
		return Decision{Why: Nobody, Holder: c.holder}
	}
	return Decision{Owner: r.nodes[c.owner], Why: c.why, Holder: c.holder}
}
