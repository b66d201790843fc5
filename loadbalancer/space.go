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
	forAll  audience = iota // anybody whom the pool admits
	forOne                  // the Service that a reservation names
	forNone                 // nobody: a node's own, or reserved out of use
	audiences
)

// space keeps the addresses that a pool has of one family: which are free, and in what order they go.
//
// Free addresses are runs in a tree, so that a pool of any size costs what its holes cost, the next address is the first
// of the first run, and a full space is an empty tree.
type space struct {
	pool *pool

	// forAllSize and forOneSize count the addresses of the zones.
	forAllSize, forOneSize size
	// allocated counts the addresses that Services have, by zone.
	allocated [audiences]int

	// free has the addresses for all that are neither held nor resting.
	free *btree.BTree[*run]
	// awaitingReuse has the addresses for all that were given back a short while ago, those first that rest no longer.
	awaitingReuse *btree.BTree[*allocation]

	// waiting are the Services that would take any address of the space.
	waiting *queue
	pivot   run
}

// run is a run of free addresses of one entry. It begins and ends with addresses that may be handed out.
type run struct {
	entry    int
	from, to netip.Addr
}

const degree = 16

func newSpace(p *pool) *space {
	s := &space{
		pool: p,
		free: btree.New(degree, func(a, b *run) bool {
			return a.entry < b.entry || a.entry == b.entry && a.from.Less(b.from)
		}),
		awaitingReuse: btree.New(degree, func(a, b *allocation) bool {
			return cmp.Or(a.reusableAt.Compare(b.reusableAt), a.addr.Compare(b.addr)) < 0
		}),
	}
	s.waiting = newQueue(awaited{space: s})
	return s
}

// addRun adds a run of addresses for all that nobody holds.
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

// available is how many addresses anybody may get, the resting ones included.
func (s *space) available() size {
	return s.forAllSize.minus(size{lo: uint64(s.allocated[forAll])})
}

// pick is the address that goes next: the first free one or, if there is none, the one that has rested longest.
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

// reclaim frees the addresses that have rested enough.
func (s *space) reclaim(now time.Time, t *table) {
	for {
		alloc, ok := s.awaitingReuse.Min()
		if !ok || alloc.reusableAt.After(now) {
			return
		}
		s.awaitingReuse.DeleteMin()
		t.forget(alloc)
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
		r.from = s.next(addr) // in place: its neighbours are still its neighbours
	case r.to == addr:
		r.to = s.prev(addr)
	default:
		s.free.ReplaceOrInsert(&run{r.entry, s.next(addr), r.to})
		r.to = s.prev(addr)
	}
}

// add puts an address among the free ones and joins the runs that it was missing between.
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

// runAfter is the first run that begins at the address or behind it.
func (s *space) runAfter(addr netip.Addr) (found *run) {
	s.pivot = run{entry: s.pool.entryOf(addr), from: addr}
	s.free.AscendGreaterOrEqual(&s.pivot, func(r *run) bool {
		found = r
		return false
	})
	return found
}

func (s *space) skips(addr netip.Addr) bool { return s.pool.skipBuggy && buggy(addr) }

// next is the usable address behind this one, the zero Addr at the end of the family.
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
