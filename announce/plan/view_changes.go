package plan

import "net/netip"

// layer2Changes is what has changed since the last plan of layer 2.
type layer2Changes struct {
	addresses addressSet
	all       bool
	// asked says that there was a plan.
	asked bool
}

// changes returns the addresses to plan again on layer 2, or that all are, and starts anew. The set
// is the caller's.
func (v *View) changes() (addresses addressSet, all bool) {
	v.Settle()
	addresses, all = v.layer2.addresses, v.layer2.all
	v.layer2 = layer2Changes{addresses: addressSet{}, asked: true}
	return addresses, all
}

// routeChanges is what has changed since the last plan of routes.
type routeChanges struct {
	addresses addressSet
	nodes     map[string]struct{}
	// sessions says that a node has other sessions than before.
	sessions bool
	// all says that everything is to be planned again; what else has changed is then not kept.
	all bool
}

func (c *routeChanges) touch(addresses []netip.Addr) {
	if c.all {
		return
	}
	for _, ip := range addresses {
		c.addresses.add(ip)
	}
}

func (c *routeChanges) touchNode(name string) {
	if c.all {
		return
	}
	if c.nodes == nil {
		c.nodes = map[string]struct{}{}
	}
	c.nodes[name] = struct{}{}
}

// routeChanges returns what has changed for BGP and starts anew.
func (v *View) routeChanges() routeChanges {
	v.Settle()
	changes := v.routes
	v.routes = routeChanges{}
	return changes
}

// addressSet is a set of addresses. The zero value is empty.
type addressSet map[netip.Addr]struct{}

func (s *addressSet) add(ip netip.Addr) {
	if *s == nil {
		*s = addressSet{}
	}
	(*s)[ip] = struct{}{}
}
