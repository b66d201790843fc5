package election

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// commonCandidates are the nodes that may own all of some addresses.
func (w *world) commonCandidates(ips []netip.Addr) []string {
	all := slices.Clone(w.alive)
	for _, ip := range ips {
		candidates := w.candidates(ip)
		all = slices.DeleteFunc(all, func(n string) bool { return !slices.Contains(candidates, n) })
	}
	return all
}

// assignees are the nodes to which claims give addresses, or that have taken them over.
func (w *world) assignees(r *Round, ips []netip.Addr) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, ip := range ips {
		if d, s := r.Decision(ip), w.addresses[ip]; d.Why == Incumbent || d.Why == HandedOver {
			out[ip] = d.Owner
		} else if slices.Contains(w.candidates(ip), s.taken) {
			out[ip] = s.taken
		}
	}
	return out
}

func TestOpenAddressesOfAGroupGoToOneNodeIfOneCanOwnTheGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		r := w.round(w.sorted())
		for _, g := range []string{"g", "h"} {
			members := w.members(g)
			if len(w.commonCandidates(members)) == 0 {
				continue
			}
			assigned := w.assignees(r, members)
			open := slices.DeleteFunc(members, func(ip netip.Addr) bool { return assigned[ip] != "" })
			var to []string
			for _, ip := range open {
				to = append(to, r.Decision(ip).Owner)
			}
			if len(slices.Compact(to)) > 1 {
				t.Fatalf("%v of group %s go to %v", open, g, to)
			}
			candidates := w.commonCandidates(open)
			for _, assignee := range assigned {
				if len(open) > 0 && slices.Contains(candidates, assignee) && !slices.Contains(slices.Collect(maps.Values(assigned)), to[0]) {
					t.Fatalf("%v of group %s go to %s although %s has one of the group", open, g, to[0], assignee)
				}
			}
		}
	})
}

// Two addresses are what nearly every group has: an IPv4 and an IPv6 address of one Service.
func TestAnOpenAddressFollowsTheOtherOfItsPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t)
		for _, s := range w.addresses {
			s.group = ""
		}
		pair := []netip.Addr{address(0), address(1)}
		if len(w.addresses) < len(pair) {
			return
		}
		for _, ip := range pair {
			w.addresses[ip].group = "pair"
		}
		r := w.round(w.sorted())
		assigned := w.assignees(r, pair)
		for i, ip := range pair {
			other := pair[1-i]
			if slices.Contains(w.candidates(ip), assigned[other]) && assigned[ip] == "" && r.Decision(ip).Owner != assigned[other] {
				t.Fatalf("%s goes to %s although %s is assigned to %s", ip, r.Decision(ip).Owner, other, assigned[other])
			}
		}
		if len(assigned) == 0 && len(w.commonCandidates(pair)) > 0 && r.Decision(pair[0]).Owner != r.Decision(pair[1]).Owner {
			t.Fatalf("a new pair is separated although %v could own both", w.commonCandidates(pair))
		}
	})
}

func TestWhereAddressesOfAGroupGo(t *testing.T) {
	type member struct {
		eligible  []string
		incumbent string
	}
	abc := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name    string
		members []member
		want    []string
	}{
		{"the second goes where the first is", []member{{abc, "b"}, {abc, ""}}, []string{"b", "b"}},
		{"the first goes where the second is", []member{{abc, ""}, {abc, "b"}}, []string{"b", "b"}},
		{"not if that node may not own it", []member{{abc, "b"}, {[]string{"c"}, ""}}, []string{"b", "c"}},
		{"new ones go where both can be", []member{{[]string{"a", "b"}, ""}, {[]string{"b", "c"}, ""}}, []string{"b", "b"}},
		{"separated if they must be", []member{{[]string{"a"}, ""}, {[]string{"c"}, ""}}, []string{"a", "c"}},
		{"those that were separated stay", []member{{abc, "a"}, {abc, "b"}}, []string{"a", "b"}},
		{"three that no node can own together are two and one",
			[]member{{[]string{"a", "b"}, ""}, {[]string{"b", "c"}, ""}, {[]string{"c"}, ""}}, []string{"b", "b", "c"}},
		{"one that nobody can own keeps the others together",
			[]member{{[]string{"a", "b"}, ""}, {nil, ""}, {[]string{"b", "c"}, ""}}, []string{"b", "", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{alive: abc, addresses: map[netip.Addr]*addressState{}}
			for i, m := range tt.members {
				s := &addressState{created: int64(i), eligible: m.eligible, group: "g"}
				if m.incumbent != "" {
					s.claims = []Claim{{Node: m.incumbent, Epoch: 1}}
				}
				w.addresses[address(i)] = s
			}
			owners := w.owners()
			for i, want := range tt.want {
				if got := owners[address(i)]; got != want {
					t.Errorf("address %d is owned by %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestAGroupIsOneLoad(t *testing.T) {
	w := &world{alive: []string{"a", "b"}, addresses: map[netip.Addr]*addressState{}}
	for i, group := range []string{"g", "g", "g", ""} {
		w.addresses[address(i)] = &addressState{created: int64(i), eligible: w.alive, group: group}
	}
	owners := w.owners()
	if owners[address(3)] == owners[address(0)] {
		t.Fatalf("one node has everything: %v", owners)
	}
	// The next one may go to either node: to the one that the hash puts first.
	w.addresses[address(4)] = &addressState{created: 4, eligible: w.alive}
	if got, want := w.owners()[address(4)], firstOf(address(4), "a", "b"); got != want {
		t.Fatalf("%s got the next, want %s", got, want)
	}
}

func TestMembersLeaveAndChangeTheirGroups(t *testing.T) {
	w := &world{alive: []string{"a", "b"}, addresses: map[netip.Addr]*addressState{}}
	set := func(r *Round, i int, group string) {
		w.addresses[address(i)] = &addressState{created: int64(i), eligible: w.alive, group: group}
		r.Set(address(i), w.address(r, address(i)))
		r.Decide()
	}
	r := NewRound(w.alive)
	set(r, 0, "g")
	set(r, 1, "g")
	if got := owners(r); got[address(0)] != got[address(1)] {
		t.Fatalf("a group is apart: %v", got)
	}
	set(r, 1, "h")
	if got := owners(r); got[address(0)] == got[address(1)] {
		t.Fatalf("two groups are on one node, the other has none: %v", got)
	}
	r.Remove(address(0))
	r.Remove(address(1))
	if r.Decide(); len(r.groups) != 0 {
		t.Fatalf("groups are left: %v", r.groups)
	}
}
