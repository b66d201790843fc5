package layer2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// memberships returns how often the kernel counts the node's interface as a member of each
// multicast group.
func memberships(t testing.TB, name string) map[netip.Addr]int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/igmp6") // the first thread may be in another namespace
	must(t, err)
	all := map[netip.Addr]int{}
	for line := range strings.Lines(string(text)) {
		var index, users int
		var ifi, group string
		_, err := fmt.Sscan(line, &index, &ifi, &group, &users)
		must(t, err)
		raw, err := hex.DecodeString(group)
		must(t, err)
		if ifi == name {
			all[netip.AddrFrom16([16]byte(raw))] = users
		}
	}
	return all
}

// joins matches frames with an MLDv2 report (RFC 3810) that names the group.
func joins(group netip.Addr) func([]byte) bool {
	return func(frame []byte) bool {
		const hopByHop, report = 8, 143
		p := frame[14:]
		return len(p) > ipv6HeaderSize+hopByHop && p[6] == 0 && p[ipv6HeaderSize+hopByHop] == report && bytes.Contains(p, group.AsSlice())
	}
}

func TestSwitchesHearThatSolicitationsAreWanted(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	r := respond(t)
	s := h.stationFor("lan", unix.ETH_P_IPV6)
	r.Set(map[netip.Addr][]string{vip61: {name}})
	s.receiveFrame("a report of the group", joins(groupOf(vip61)))
	if n := memberships(t, name)[groupOf(vip61)]; n != 1 {
		t.Errorf("the kernel counts %d memberships, want 1", n)
	}
	r.Set(map[netip.Addr][]string{vip62: {name}})
	s.receiveFrame("a report that the group is left", joins(groupOf(vip61)))
	s.receiveFrame("a report of the second group", joins(groupOf(vip62)))
	if n := memberships(t, name)[groupOf(vip61)]; n != 0 {
		t.Errorf("the kernel counts %d memberships after the address is gone", n)
	}
}

// One socket cannot be a member of that many groups.
func TestManyIPv6AddressesAreAllWanted(t *testing.T) {
	const many = 5000
	h := newHost(t)
	name := cable(t, h, "lan")
	g := newGroups(link(t, name).Attrs().Index)
	var addresses []netip.Addr
	for addr := vip61; len(addresses) < 3*many/2; addr = addr.Next() {
		addresses = append(addresses, addr)
	}
	member := func(what string, want []netip.Addr) {
		t.Helper()
		got := memberships(t, name)
		for _, addr := range addresses {
			if slices.Contains(want, addr) != (got[groupOf(addr)] == 1) {
				t.Fatalf("%s: %d memberships for %v", what, got[groupOf(addr)], addr)
			}
		}
	}
	for _, addr := range addresses[:many] {
		must(t, g.join(addr))
	}
	member("many", addresses[:many])
	sockets := len(g.sockets)
	if sockets < 2 {
		t.Errorf("%d sockets, want several", sockets)
	}
	// A group that is left makes room for another.
	for _, addr := range addresses[:many/2] {
		g.leave(addr)
	}
	for _, addr := range addresses[many:] {
		must(t, g.join(addr))
	}
	member("others", addresses[many/2:])
	if len(g.sockets) > sockets {
		t.Errorf("%d sockets after as many joined as had left, there were %d", len(g.sockets), sockets)
	}
	g.close()
	member("none", nil)
}

func TestAddressesThatEndAlikeShareAMembership(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	g := newGroups(link(t, name).Attrs().Index)
	defer g.close()
	alike := netip.MustParseAddr("2001:db8:1::101")
	must(t, g.join(vip61))
	must(t, g.join(alike))
	for n, want := range []int{1, 1, 0} {
		if got := memberships(t, name)[groupOf(vip61)]; got != want {
			t.Errorf("%d memberships after %d have left, want %d", got, n, want)
		}
		g.leave([]netip.Addr{vip61, alike, alike}[n])
	}
}

func TestGroupsOfAnInterfaceThatIsGoneAreRefused(t *testing.T) {
	g := newGroups(1 << 20)
	if err := g.join(vip61); err == nil {
		t.Error("joined a group on an interface that does not exist")
	}
	g.close()
	if err := g.join(vip61); err == nil {
		t.Error("joined a group after the end")
	}
}
