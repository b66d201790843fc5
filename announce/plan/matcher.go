package plan

import (
	"maps"
	"net/netip"
	"slices"
)

// matcher knows which advertisements of one kind select which pools. Advertisements have the indices of their selections.
type matcher struct {
	pools      []*pool // by precedence
	selections []*selection
	byPool     map[*pool][]int
}

func newMatcher(pools map[string]*pool, selections []*selection) matcher {
	c := matcher{
		pools:      slices.SortedFunc(maps.Values(pools), byPrecedence),
		selections: selections,
		byPool:     make(map[*pool][]int, len(pools)),
	}
	for _, pool := range c.pools {
		for i, s := range c.selections {
			if s.selectsPool(pool) {
				c.byPool[pool] = append(c.byPool[pool], i)
			}
		}
	}
	return c
}

// announceRequest is that an advertisement wants an address announced for a Service.
type announceRequest struct {
	advertisement int
	// on are the nodes to which traffic must stay local, sorted; nil for any node.
	on []string
}

// requests collects who wants an address of some Services announced. If nobody does, the reason says why, from the Service
// that came closest.
func (c *matcher) requests(ip netip.Addr, services []*service) ([]announceRequest, Reason) {
	if len(services) == 0 {
		return nil, NotAssigned
	}
	pool := poolOf(c.pools, ip)
	if pool == nil {
		return nil, NoPool
	}
	var requests []announceRequest
	refused := NoAdvertisement
	for _, s := range services {
		serving := s.backends.serving(ip)
		for _, i := range c.byPool[pool] {
			if !c.selections[i].selectsService(s.labels) {
				continue
			}
			if len(serving) == 0 {
				refused = NoEndpoint
				break
			}
			if s.local {
				requests = append(requests, announceRequest{i, serving})
			} else {
				requests = append(requests, announceRequest{i, nil})
			}
		}
	}
	if len(requests) > 0 {
		refused = ""
	}
	return requests, refused
}
