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
	// graceful are the addresses of which peers are told that other nodes are to be preferred. An
	// aggregate is for other addresses too, and says nothing.
	graceful addressSet
}

// tally is for how many addresses an advertisement wants a prefix announced.
type tally struct{ advertisement, addresses int }

// prefixSet is a set of prefixes.
type prefixSet map[netip.Prefix]struct{}

func newPrefixTable() prefixTable {
	return prefixTable{map[netip.Addr][]int{}, map[netip.Prefix][]tally{}, map[netip.Addr]int{}, addressSet{}}
}

func (t *prefixTable) empty() bool { return len(t.members) == 0 }

// addressEntry is how a node announces an address: for which advertisements, sorted, and what is told
// of it.
type addressEntry struct {
	advertisements []int
	weight         int
	graceful       bool
}

// by is the entry in terms of other advertisements than those that its indices are of: for those of
// the same names.
func (e addressEntry) by(old, now []*bgpAdvertisement) addressEntry {
	var kept []int
	for _, i := range e.advertisements {
		same := func(a *bgpAdvertisement) bool { return a.name == old[i].name }
		if at := slices.IndexFunc(now, same); at >= 0 {
			kept = append(kept, at)
		}
	}
	slices.Sort(kept)
	return addressEntry{kept, e.weight, e.graceful}
}

func (t *prefixTable) of(ip netip.Addr) addressEntry {
	return addressEntry{t.entries[ip], t.weights[ip], t.isGraceful(single(ip))}
}

// set has the node announce an address in this way, and adds the prefixes for which that makes a
// difference.
func (t *prefixTable) set(ip netip.Addr, e addressEntry, policy *bgpPolicy, touched prefixSet) {
	t.setWeight(ip, e.weight, touched)
	t.setGraceful(ip, e.graceful, touched)
	t.setAdvertisements(ip, e.advertisements, policy, touched)
}

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
	touched[single(ip)] = struct{}{}
	if weight == 0 {
		delete(t.weights, ip)
	} else {
		t.weights[ip] = weight
	}
}

// setGraceful has peers told of an address that other nodes are to be preferred, and adds its
// prefix if that makes a difference.
func (t *prefixTable) setGraceful(ip netip.Addr, graceful bool, touched prefixSet) {
	if graceful == t.isGraceful(single(ip)) {
		return
	}
	touched[single(ip)] = struct{}{}
	if graceful {
		t.graceful.add(ip)
	} else {
		delete(t.graceful, ip)
	}
}

func (t *prefixTable) isGraceful(prefix netip.Prefix) bool {
	_, is := t.graceful[prefix.Addr()]
	return is && prefix.IsSingleIP()
}

// single is the prefix that has one address.
func single(ip netip.Addr) netip.Prefix { return netip.PrefixFrom(ip, ip.BitLen()) }
