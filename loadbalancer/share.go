package loadbalancer

import (
	"net/netip"
	"slices"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// share is which of a pool's addresses are the pool's own. An address that several pools have
// belongs to the one that had it first: no edit takes an address from another pool.
type share struct {
	// had are the addresses that were the pool's own under the version of its spec before this one.
	// hadSkipped says that it left out the buggy ones of them.
	had        []Range
	hadSkipped bool
	// own are the pool's own addresses, sorted.
	own []entry
	// contested are those of its addresses that another pool had first, sorted.
	contested []contest
	// shared says that own and contested are known for this version of the spec.
	shared bool
}

// contest is a range that two pools have, and the one that had it first.
type contest struct {
	Range
	with *pool
}

// shareBefore is what was a pool's own before this version of it: of the same object, as this
// Allocator knows it or, for a new Allocator, as an earlier one has recorded it.
func shareBefore(object *v1alpha1.IPAddressPool, before *pool) share {
	if before != nil {
		return share{had: ranges(before.own), hadSkipped: before.skipBuggy}
	}
	if object.Status.AppliedSpec == nil {
		return share{}
	}
	applied, err := readPoolSpec(object.Status.AppliedSpec)
	if err != nil {
		return share{}
	}
	return share{had: without(ranges(applied.effective), ContestedRanges(object)), hadSkipped: applied.skipBuggy}
}

// ContestedRanges are the addresses of a pool that belong to another one, as the Allocator has
// recorded them, sorted. Whoever has no Allocator goes by that.
func ContestedRanges(object *v1alpha1.IPAddressPool) []Range {
	var list []Range
	for _, c := range object.Status.Contested {
		if r, err := ParseRange(c.Addresses); err == nil {
			list = append(list, r)
		}
	}
	return merge(list)
}

// divide finds which addresses are whose and puts them into the index. pools are the usable ones,
// the oldest first. It returns those whose own addresses are others now.
func (a *Allocator) divide(pools []*pool) (changed map[*pool]bool) {
	changed = map[*pool]bool{}
	set := func(p *pool, own []entry, contested []contest) {
		changed[p] = !slices.Equal(own, p.own)
		p.own, p.contested, p.shared = own, contested, true
	}
	a.index = nil
	if a.claimAll(pools) {
		for _, p := range pools {
			set(p, p.effective, nil)
		}
		return changed
	}

	// What a pool had goes before what it has come to have. One that is being deleted goes last.
	a.index = nil
	for _, deleting := range []bool{false, true} {
		group := slices.DeleteFunc(slices.Clone(pools), func(p *pool) bool { return p.deleting() != deleting })
		for _, p := range group {
			a.claim(p, p.claimsFirst())
		}
		for _, p := range group {
			a.claim(p, p.effective)
		}
	}
	for _, p := range pools {
		own, contested := a.shareOf(p)
		set(p, own, contested)
	}
	a.index = nil // to have it in as few pieces as can be
	for _, p := range pools {
		a.claim(p, p.own)
	}
	return changed
}

// claimAll gives every pool all of its addresses; false if some of them overlap.
func (a *Allocator) claimAll(pools []*pool) bool {
	for _, p := range pools {
		for _, e := range p.effective {
			if i := firstReaching(a.index, e.From); i < len(a.index) && a.index[i].overlaps(e.Range) {
				return false
			}
		}
		a.claim(p, p.effective)
	}
	return true
}

// claim gives a pool those of some addresses that no pool has yet.
func (a *Allocator) claim(p *pool, entries []entry) {
	for _, e := range entries {
		for _, piece := range subtract(e.Range, a.index) {
			a.index = slices.Insert(a.index, firstReaching(a.index, piece.From), poolRange{piece, p})
		}
	}
}

// claimsFirst are those of a pool's addresses that it had before.
func (p *pool) claimsFirst() []entry {
	if p.shared {
		return p.own
	}
	var list []entry
	for _, e := range p.effective {
		for _, r := range overlapping(p.had, e.Range) {
			list = append(list, entry{r, e.index})
		}
	}
	return list
}

// shareOf divides the addresses of a pool by the index.
func (a *Allocator) shareOf(p *pool) (own []entry, contested []contest) {
	for _, e := range p.effective {
		first := len(contested)
		for _, other := range a.index[firstReaching(a.index, e.From):] {
			r, ok := other.intersect(e.Range)
			if !ok {
				break
			}
			n := len(contested)
			switch {
			case other.pool == p:
			case n > first && contested[n-1].with == other.pool && contested[n-1].To.Next() == r.From:
				contested[n-1].To = r.To
			default:
				contested = append(contested, contest{r, other.pool})
			}
		}
		for _, piece := range subtract(e.Range, contested[first:]) {
			own = append(own, entry{piece, e.index})
		}
	}
	return own, contested
}

// isThere reports whether a version of the same object is among the pools. If it has an address no
// more, an edit took that out; a pool that is gone takes nothing along.
func (a *Allocator) isThere(p *pool) bool {
	return p != nil && a.pools[p.name] != nil && a.pools[p.name].object.UID == p.object.UID
}

// takenOut reports whether an edit took an address that no pool has out of its pool, as far as that
// can be told of an address that nobody has here: the edit may have been made before this Allocator.
func (a *Allocator) takenOut(addr netip.Addr) bool {
	if alloc := a.table.addresses[addr]; alloc != nil {
		return alloc.takenOut
	}
	for _, p := range a.pools {
		if i := firstReaching(p.had, addr); i < len(p.had) && p.had[i].Contains(addr) && !(p.hadSkipped && Buggy(addr)) {
			return true
		}
	}
	return false
}

// ranges are those of a list.
func ranges[R ranged](list []R) []Range {
	plain := make([]Range, len(list))
	for i, r := range list {
		plain[i] = r.span()
	}
	return plain
}

// without is what is left of some ranges without the cuts, which are sorted and do not overlap.
func without(list, cuts []Range) []Range {
	var rest []Range
	for _, r := range list {
		rest = append(rest, subtract(r, cuts)...)
	}
	return rest
}

// overlapping are the parts of sorted, disjoint ranges that are in r.
func overlapping[R ranged](list []R, r Range) []Range {
	var parts []Range
	for _, other := range list[firstReaching(list, r.From):] {
		part, ok := other.span().intersect(r)
		if !ok {
			break
		}
		parts = append(parts, part)
	}
	return parts
}
