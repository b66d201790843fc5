package announce

import (
	"maps"
	"net/netip"
	"slices"
)

// catalogue knows which advertisements of one kind select which pools. Advertisements have the indices of their selections.
type catalogue struct {
	pools      []*pool // by age
	selections []*selection
	byPool     map[*pool][]int
}

func newCatalogue(pools map[string]*pool, selections []*selection) catalogue {
	c := catalogue{
		pools:      slices.SortedFunc(maps.Values(pools), byAge),
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

// request is that an advertisement wants an address announced for a Service.
type request struct {
	advertisement int
	// on are the nodes to which traffic must stay local, sorted; nil for any node.
	on []string
}

// requests collects who wants an address of some Services announced. If nobody does, the reason says why, from the Service
// that came closest.
func (c *catalogue) requests(ip netip.Addr, services []*service) ([]request, Reason) {
	if len(services) == 0 {
		return nil, NotAssigned
	}
	pool := poolOf(c.pools, ip)
	if pool == nil {
		return nil, NoPool
	}
	var requests []request
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
				requests = append(requests, request{i, serving})
			} else {
				requests = append(requests, request{i, nil})
			}
		}
	}
	if len(requests) > 0 {
		refused = ""
	}
	return requests, refused
}
