package plan

import (
	"maps"
	"net/netip"
	"slices"
)

// matcher is which advertisements of one protocol select which pools. Advertisements have the
// indices of their selections.
type matcher struct {
	pools      []*pool // by age
	selections []*selection
	byPool     map[*pool][]int
}

func newMatcher(pools map[string]*pool, selections []*selection) matcher {
	m := matcher{
		pools:      slices.SortedFunc(maps.Values(pools), byAge),
		selections: selections,
		byPool:     make(map[*pool][]int, len(pools)),
	}
	for _, pool := range m.pools {
		for i, s := range m.selections {
			if s.selectsPool(pool) {
				m.byPool[pool] = append(m.byPool[pool], i)
			}
		}
	}
	return m
}

// announceRequest is that an advertisement wants an address announced for a Service.
type announceRequest struct {
	advertisement int
	// on are the nodes to which traffic must stay local, sorted; nil for any node. serving are these
	// and those whose endpoints terminate and still serve.
	on, serving []string
	// unconfirmed says that the endpoints on the View's own node do not count yet.
	unconfirmed bool
}

// requests collects which advertisements want an address announced for which of its Services. If
// there is none, the reason says why, from the Service that came closest.
func (m *matcher) requests(ip netip.Addr, services []*service) ([]announceRequest, Reason) {
	if len(services) == 0 {
		return nil, NotAssigned
	}
	pool := poolOf(m.pools, ip)
	if pool == nil {
		return nil, NoPool
	}
	var requests []announceRequest
	refused := NoAdvertisement
	for _, s := range services {
		nodes := s.backends.nodes(ip)
		for _, i := range m.byPool[pool] {
			if !m.selections[i].selectsService(s.labels) {
				continue
			}
			if len(nodes.serving) == 0 {
				refused = NoEndpoint
				break
			}
			if s.local {
				requests = append(requests, announceRequest{i, nodes.preferred(), nodes.serving, s.backends.unconfirmed})
			} else {
				requests = append(requests, announceRequest{advertisement: i})
			}
		}
	}
	if len(requests) > 0 {
		refused = ""
	}
	return requests, refused
}
