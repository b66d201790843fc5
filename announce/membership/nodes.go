package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/clarionlb/clarion/internal/guard"
)

// nodeSet is the addresses of the cluster's nodes, from which gossip is accepted.
type nodeSet struct {
	own netip.Addr

	mu sync.RWMutex
	// known says that addresses are known. Before, everybody counts as a node.
	known     bool
	addresses map[netip.Addr]struct{}
}

// SetNodes says which addresses the nodes of the cluster have. Gossip from others is dropped, and members at others are not
// believed in. Before the first call all are accepted. This node's own address need not be among them.
func (c *Cluster) SetNodes(addresses []netip.Addr) {
	set := make(map[netip.Addr]struct{}, len(addresses))
	for _, address := range addresses {
		set[address] = struct{}{}
	}
	c.nodes.mu.Lock()
	defer c.nodes.mu.Unlock()
	c.nodes.known, c.nodes.addresses = true, set
}

func (s *nodeSet) has(address netip.Addr) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, known := s.addresses[address]
	return !s.known || known || address == s.own
}

// admission is the Cluster as memberlist's AliveDelegate: it says who may be a member.
type admission struct{ *Cluster }

// NotifyAlive refuses members whose address is no node's.
func (a admission) NotifyAlive(peer *memberlist.Node) error {
	return guard.Try("gossip", peer.Name, func() error { return a.admit(peer) })
}

func (a admission) admit(peer *memberlist.Node) error {
	address, _ := netip.AddrFromSlice(slices.Clone(peer.Addr))
	if address = address.Unmap(); !a.nodes.has(address) {
		return fmt.Errorf("%s is the address of no node", address)
	}
	return nil
}
