package election

import (
	"encoding/binary"
	"net/netip"
)

// The rendezvous score must be the same on every node, and in all versions that may run side by
// side. It is made of FNV-1a over the name, the address folded to 64 bits, and the finalizer of
// splitmix64, which spreads every input bit over the whole score. Names and addresses are hashed
// once, so that a score costs only a few multiplications.

// First is the one of the eligible nodes, of which the set has the indices, that the rendezvous hash of
// node and address puts first; "" if none is eligible.
func First(nodes []string, eligible Set, address netip.Addr) (first string) {
	hash, best := hashAddress(address), uint64(0)
	eligible.All(func(i int) {
		if s := score(hashNode(nodes[i]), hash); first == "" || s > best {
			first, best = nodes[i], s
		}
	})
	return first
}

func score(node, address uint64) uint64 { return mix(node ^ address) }

func hashNode(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return mix(h)
}

func hashAddress(a netip.Addr) uint64 {
	b := a.As16()
	return mix(mix(binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
