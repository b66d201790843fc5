package layer2

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups are the solicited-node multicast groups that an interface is a member of (RFC 4291,
// section 2.7.1): solicitations for an address are sent to its group. With a membership, the kernel
// has the network card receive the group, and by MLD it tells the switches that forward multicasts
// only where they are wanted.
//
// A membership belongs to a socket. These sockets have no other purpose; they are not bound and so
// receive nothing. The kernel limits the memory for the memberships of one socket
// (net.core.optmem_max; by default 365 to 2,340 groups), so there are as many sockets as needed.
// For each join, and for each multicast that arrives, the kernel searches all groups of the
// interface. That costs noticeable time from some thousands of groups on. It would not if the card
// received all multicasts (PACKET_MR_ALLMULTI), or if the groups were added to the card's filter
// alone (PACKET_MR_MULTICAST). But neither tells the switches: one that snoops (RFC 4541) would no
// longer forward the solicitations, and no host would find the addresses.
type groups struct {
	index int

	mu      sync.Mutex
	members map[netip.Addr]*member
	sockets []*groupSocket
	closed  bool
}

// member is a membership in a group. Addresses with the same last 24 bits share it.
type member struct {
	addresses int
	socket    *groupSocket
}

type groupSocket struct {
	fd      int
	members int
	// full says that the kernel refused a further membership.
	full bool
}

func newGroups(index int) *groups {
	return &groups{index: index, members: map[netip.Addr]*member{}}
}

// join makes the interface a member of the group of an address, until leave was called as often as
// join.
func (g *groups) join(addr netip.Addr) error {
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return fmt.Errorf("multicast group of %s: %w", addr, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	if m := g.members[group]; m != nil {
		m.addresses++
		return nil
	}
	s, err := g.add(group)
	if err != nil {
		return fmt.Errorf("join multicast group %s: %w", group, err)
	}
	s.members++
	g.members[group] = &member{1, s}
	return nil
}

// add joins the group on a socket that has room, or on a new one.
func (g *groups) add(group netip.Addr) (*groupSocket, error) {
	for _, s := range g.sockets {
		if s.full {
			continue
		}
		err := s.change(unix.IPV6_JOIN_GROUP, group, g.index)
		if s.full = errors.Is(err, unix.ENOMEM); !s.full {
			return s, err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &groupSocket{fd: fd}
	if err := s.change(unix.IPV6_JOIN_GROUP, group, g.index); err != nil {
		unix.Close(fd)
		return nil, err
	}
	g.sockets = append(g.sockets, s)
	return s, nil
}

// leave undoes a join.
func (g *groups) leave(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	group, _ := ndp.SolicitedNodeMulticast(addr)
	m := g.members[group]
	if m == nil {
		return
	}
	if m.addresses--; m.addresses > 0 {
		return
	}
	delete(g.members, group)
	s := m.socket
	if s.members--; s.members > 0 {
		// This fails if the interface is gone, and then there is nothing to leave.
		_ = s.change(unix.IPV6_LEAVE_GROUP, group, g.index)
		s.full = false
		return
	}
	g.sockets = slices.DeleteFunc(g.sockets, func(o *groupSocket) bool { return o == s })
	unix.Close(s.fd)
}

// close leaves all groups.
func (g *groups) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sockets {
		unix.Close(s.fd)
	}
	g.sockets, g.closed = nil, true
	clear(g.members)
}

func (s *groupSocket) change(option int, group netip.Addr, index int) error {
	return unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, option,
		&unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(index)})
}
