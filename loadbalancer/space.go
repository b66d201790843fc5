package loadbalancer

import (
	"cmp"
	"net/netip"
	"time"

	"k8s.io/utils/third_party/forked/golang/btree"
)

// audience says for whom an address of a pool is.
type audience int

const (
	forAll    audience = iota // every Service that the pool admits
	forOne                    // the Service that a reservation names
	forNone                   // nobody: a conflict, a node's own address, or reserved out of use
	audiences                 // how many there are
)

// space keeps the addresses that a pool has of one family: which are free, and in what order they
// are handed out.
//
// Free addresses are runs in a tree. So the cost of a pool depends on its holes and not on its
// size, the next address is the first of the first run, and the tree of a full space is empty.
type space struct {
	pool *pool

	// forAllSize and forOneSize count the addresses with these audiences.
	forAllSize, forOneSize size
	// allocated counts the addresses that Services have, by audience.
	allocated [audiences]int
	// used counts, by namespace, the addresses that its Services have.
	used map[string]int

	// free has the addresses for all that have no owner and do not await their reuse.
	free *btree.BTree[*run]
	// awaitingReuse has the addresses for all that were given back a short while ago, the soonest
	// reusable first.
	awaitingReuse *btree.BTree[*allocation]

	// waiting are the Services that would take any address of the space.
	waiting *queue
	// pivot is what the tree of free runs is searched with. It is here so that a search allocates
	// nothing.
	pivot run
}

// run is a run of free addresses of one entry. It begins and ends with addresses that may be handed
// out.
type run struct {
	entry    int
	from, to netip.Addr
}

// degree of the trees: between degree-1 and 2*degree-1 items are in a node.
const degree = 16

func newSpace(p *pool) *space {
	s := &space{
		pool: p,
		used: map[string]int{},
		free: btree.New(degree, func(a, b *run) bool {
			return a.entry < b.entry || a.entry == b.entry && a.from.Less(b.from)
		}),
		awaitingReuse: btree.New(degree, func(a, b *allocation) bool { return compareReuse(a, b) < 0 }),
	}
	s.waiting = newQueue(awaited{space: s})
	return s
}

// compareReuse puts the address first that is reusable sooner.
func compareReuse(a, b *allocation) int {
	return cmp.Or(a.reusableAt.Compare(b.reusableAt), a.addr.Compare(b.addr))
}

// addRun adds a run of addresses for all, none of which has an owner.
func (s *space) addRun(entry int, r Range) {
	s.forAllSize = s.forAllSize.plus(s.usableSize(r))
	if s.skips(r.From) {
		r.From = s.next(r.From)
	}
	if s.skips(r.To) {
		r.To = s.prev(r.To)
	}
	if r.From.IsValid() && r.To.IsValid() && !r.To.Less(r.From) {
		s.free.ReplaceOrInsert(&run{entry, r.From, r.To})
	}
}

func (s *space) usableSize(r Range) size {
	n := r.size()
	if s.pool.skipBuggy {
		n = n.minus(r.buggySize())
	}
	return n
}

// available is how many addresses there are for every Service, with those that await their reuse.
func (s *space) available() size {
	return s.forAllSize.minus(size{lo: uint64(s.allocated[forAll])})
}

// pick is the address that is handed out next: the first free one or, if there is none, the one
// that is reusable soonest.
func (s *space) pick(now time.Time, t *table) (netip.Addr, bool) {
	s.reclaim(now, t)
	if first, ok := s.free.Min(); ok {
		return first.from, true
	}
	if alloc, ok := s.awaitingReuse.Min(); ok {
		return alloc.addr, true
	}
	return netip.Addr{}, false
}

// reclaim frees the addresses that are reusable now.
func (s *space) reclaim(now time.Time, t *table) {
	for {
		alloc, ok := s.awaitingReuse.Min()
		if !ok || alloc.reusableAt.After(now) {
			return
		}
		s.awaitingReuse.DeleteMin()
		t.forget(alloc)
		t.reusable = append(t.reusable, alloc.addr)
		s.add(alloc.addr)
	}
}

// remove takes an address out of the free ones.
func (s *space) remove(addr netip.Addr) {
	r := s.runBefore(addr)
	switch {
	case r.from == r.to:
		s.free.Delete(r)
	case r.from == addr:
		r.from = s.next(addr) // in place, because the order of the runs stays the same
	case r.to == addr:
		r.to = s.prev(addr)
	default:
		s.free.ReplaceOrInsert(&run{r.entry, s.next(addr), r.to})
		r.to = s.prev(addr)
	}
}

// add puts an address among the free ones and joins it with the runs before and after it.
func (s *space) add(addr netip.Addr) {
	entry := s.pool.entryOf(addr)
	before, after := s.runBefore(addr), s.runAfter(addr)
	joinsBefore := before != nil && before.entry == entry && s.next(before.to) == addr
	joinsAfter := after != nil && after.entry == entry && s.next(addr) == after.from
	switch {
	case joinsBefore && joinsAfter:
		s.free.Delete(after)
		before.to = after.to
	case joinsBefore:
		before.to = addr
	case joinsAfter:
		after.from = addr
	default:
		s.free.ReplaceOrInsert(&run{entry, addr, addr})
	}
}

// runBefore is the last run that begins at the address or before it.
func (s *space) runBefore(addr netip.Addr) (found *run) {
	s.pivot = run{entry: s.pool.entryOf(addr), from: addr}
	s.free.DescendLessOrEqual(&s.pivot, func(r *run) bool {
		found = r
		return false
	})
	return found
}

// runAfter is the first run that begins at the address or after it.
func (s *space) runAfter(addr netip.Addr) (found *run) {
	s.pivot = run{entry: s.pool.entryOf(addr), from: addr}
	s.free.AscendGreaterOrEqual(&s.pivot, func(r *run) bool {
		found = r
		return false
	})
	return found
}

func (s *space) skips(addr netip.Addr) bool { return s.pool.skipBuggy && Buggy(addr) }

// next is the usable address after this one, the zero Addr at the end of the family.
func (s *space) next(addr netip.Addr) netip.Addr {
	for addr = addr.Next(); addr.IsValid() && s.skips(addr); addr = addr.Next() {
	}
	return addr
}

func (s *space) prev(addr netip.Addr) netip.Addr {
	for addr = addr.Prev(); addr.IsValid() && s.skips(addr); addr = addr.Prev() {
	}
	return addr
}
