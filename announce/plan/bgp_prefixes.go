package plan

import (
	"cmp"
	"net/netip"
	"slices"
)

// prefixTable has which prefixes a node announces, for which advertisements, and what they weigh.
type prefixTable struct {
	// entries are the advertisements for which the node announces an address, sorted.
	entries map[netip.Addr][]int
	// members has for each prefix the advertisements, sorted, and for how many addresses.
	members map[netip.Prefix][]tally
	// weights are how many endpoints on the node serve an address, where an advertisement has peers
	// told.
	weights map[netip.Addr]int
}

// tally is for how many addresses an advertisement wants a prefix announced.
type tally struct{ advertisement, addresses int }

// prefixSet is a set of prefixes.
type prefixSet map[netip.Prefix]struct{}

func newPrefixTable() prefixTable {
	return prefixTable{map[netip.Addr][]int{}, map[netip.Prefix][]tally{}, map[netip.Addr]int{}}
}

func (t *prefixTable) empty() bool { return len(t.members) == 0 }

// setAdvertisements has the node announce an address for these advertisements, which are sorted,
// and adds the prefixes for which that makes a difference.
func (t *prefixTable) setAdvertisements(ip netip.Addr, advertisements []int, policy *bgpPolicy, touched prefixSet) {
	before := t.entries[ip]
	if slices.Equal(before, advertisements) {
		return
	}
	for _, i := range before {
		t.count(policy.advertisements[i].prefix(ip), i, -1, touched)
	}
	for _, i := range advertisements {
		t.count(policy.advertisements[i].prefix(ip), i, 1, touched)
	}
	if len(advertisements) == 0 {
		delete(t.entries, ip)
	} else {
		t.entries[ip] = advertisements
	}
}

// count adds to the addresses for which an advertisement wants a prefix announced.
func (t *prefixTable) count(prefix netip.Prefix, advertisement, addresses int, touched prefixSet) {
	members := t.members[prefix]
	i, found := slices.BinarySearchFunc(members, advertisement, func(m tally, a int) int { return cmp.Compare(m.advertisement, a) })
	if !found {
		members = slices.Insert(members, i, tally{advertisement: advertisement})
		touched[prefix] = struct{}{}
	}
	if members[i].addresses += addresses; members[i].addresses == 0 {
		members = slices.Delete(members, i, i+1)
		touched[prefix] = struct{}{}
	}
	if len(members) == 0 {
		delete(t.members, prefix)
	} else {
		t.members[prefix] = members
	}
}

// setWeight has an address weigh as much, and adds its prefix if that makes a difference.
func (t *prefixTable) setWeight(ip netip.Addr, weight int, touched prefixSet) {
	if weight == t.weights[ip] {
		return
	}
	touched[netip.PrefixFrom(ip, ip.BitLen())] = struct{}{}
	if weight == 0 {
		delete(t.weights, ip)
	} else {
		t.weights[ip] = weight
	}
}
