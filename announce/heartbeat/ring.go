package heartbeat

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// reach is how many members on each side of it a member has sessions with. If one dies, and then
// another one before the ring is closed again, the rest are still watched.
const reach = 2

// Neighbours are those of the members with which one of them has sessions, itself left out, sorted.
func Neighbours(self string, members []string) []string {
	ring := slices.Clone(members)
	if !slices.Contains(ring, self) {
		ring = append(ring, self)
	}
	hashes := make(map[string]uint64, len(ring)) // by which neighbours are rarely in one rack
	for _, name := range ring {
		hashes[name] = hash(name)
	}
	slices.SortFunc(ring, func(a, b string) int { return cmp.Or(cmp.Compare(hashes[a], hashes[b]), cmp.Compare(a, b)) })
	at, size := slices.Index(ring, self), len(ring)
	var neighbours []string
	for n := 1; n <= reach && n < size; n++ {
		neighbours = append(neighbours, ring[(at+n)%size], ring[(at-n+size)%size])
	}
	slices.Sort(neighbours)
	neighbours = slices.Compact(neighbours)
	return slices.DeleteFunc(neighbours, func(name string) bool { return name == self })
}

func hash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	x := h.Sum64()
	x ^= x >> 33 // similar names have similar hashes in the lower bits alone
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
