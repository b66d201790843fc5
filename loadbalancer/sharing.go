package loadbalancer

import (
	"net/netip"
	"slices"
)

// group is what is shared under one key.
type group struct {
	// owners has the allocations that are shared, each with the number of its owners.
	owners map[*allocation]int
	// allocations counts them by family, and busy counts those where a port is in use.
	allocations [families]int
	busy        [families]map[Port]int
}

// indexSharing notes in a Service's group that it owns an allocation.
func (t *table) indexSharing(rec *record, alloc *allocation) {
	key, f := rec.request.SharingKey, familyOf(alloc.addr)
	if key == "" {
		return
	}
	g := t.groups[key]
	if g == nil {
		g = &group{owners: map[*allocation]int{}, busy: [families]map[Port]int{{}, {}}}
		t.groups[key] = g
	}
	if g.owners[alloc]++; g.owners[alloc] == 1 {
		g.allocations[f]++
	}
	for _, port := range rec.request.Ports {
		g.busy[f][port]++
	}
}

// unindexSharing undoes indexSharing, with the same request.
func (t *table) unindexSharing(rec *record, alloc *allocation) {
	key, f := rec.request.SharingKey, familyOf(alloc.addr)
	if key == "" {
		return
	}
	g := t.groups[key]
	if g.owners[alloc]--; g.owners[alloc] == 0 {
		delete(g.owners, alloc)
		g.allocations[f]--
	}
	for _, port := range rec.request.Ports {
		if g.busy[f][port]--; g.busy[f][port] == 0 {
			delete(g.busy[f], port)
		}
	}
	if len(g.owners) == 0 {
		delete(t.groups, key)
	}
}

// full reports whether one of the ports is in use on all addresses of the group, so that there is
// no need to look at each.
func (g *group) full(f family, ports []Port) bool {
	return slices.ContainsFunc(ports, func(port Port) bool { return g.busy[f][port] >= g.allocations[f] })
}

// sharingConflict says why a request cannot have an address together with an owner of it; nil if it
// can.
func sharingConflict(addr netip.Addr, p *pool, r *Request, owner *record) *Error {
	o := &owner.request
	switch {
	case r.SharingKey == "" || o.SharingKey == "":
		return inUse(addr, o.Service)
	case r.SharingKey != o.SharingKey:
		return otherKey(addr, o.Service)
	case p.keepsApart(r.Service.Namespace, o.Service.Namespace):
		return otherNamespace(addr, p.name, o.Service)
	case r.Backends != o.Backends:
		return otherBackends(addr, o.Service)
	}
	for _, port := range r.Ports {
		if slices.Contains(o.Ports, port) {
			return portTaken(addr, port, o.Service)
		}
	}
	return nil
}
