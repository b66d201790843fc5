package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/announce/election"
)

// candidates is which nodes can announce addresses on layer 2: what follows from the live members,
// the nodes, their interfaces and the configuration, and depends on no single address.
type candidates struct {
	// alive are the members that can have addresses, sorted. Sets of nodes have their indices.
	alive []string
	// members are all nodes, sorted by name.
	members []*member
	matcher
	// advertisements are sorted by name. reaches, and the weights of the nodes, are by their
	// indices; the weights are nil for one without preferences.
	advertisements []*l2Advertisement
	reaches        []*reach
	weights        []election.Weights
	// lastResort are nodes that have addresses only if no other can: drained ones, those that are not
	// ready and those whose kube-proxy does not serve.
	lastResort election.Set
	// keepOnly are members that keep what they have and gain nothing.
	keepOnly election.Set
}

// member is a node as a plan sees it.
type member struct {
	name string
	// barred is why the node announces nothing at all; "" if it may.
	barred Reason
	// reluctant is why the node announces only what no other can; "" if it is like the others.
	reluctant Reason
	// index of the node among those alive, if it is not barred.
	index int
}

func newCandidates(v *View, alive []string) candidates {
	c := candidates{
		alive:      alive,
		lastResort: election.NewSet(len(alive)),
		keepOnly:   election.NewSet(len(alive)),
	}
	var selections []*selection
	for _, name := range slices.Sorted(maps.Keys(v.l2Advertisements.inForce)) {
		a := v.l2Advertisements.inForce[name]
		c.advertisements = append(c.advertisements, a)
		c.reaches = append(c.reaches, newReach(len(alive)))
		c.weights = append(c.weights, nil)
		selections = append(selections, &a.selection)
	}
	c.matcher = newMatcher(v.pools, selections)
	for _, name := range slices.Sorted(maps.Keys(v.nodes)) {
		n, announcer := v.nodes[name], v.announcers[name]
		m := c.newMember(name, n, announcer, v.kubeProxies.down(name))
		c.members = append(c.members, m)
		if m.barred != "" {
			continue
		}
		if m.reluctant != "" {
			c.lastResort.Add(m.index)
		}
		for i, a := range c.advertisements {
			if a.selectsNode(n.labels) {
				c.reaches[i].add(m.index, a, announcer.interfaces)
			}
			if len(a.preferences) > 0 {
				if c.weights[i] == nil {
					c.weights[i] = make(election.Weights, len(alive))
				}
				c.weights[i][m.index] = a.weight(n.labels)
			}
		}
	}
	return c
}

func (c *candidates) newMember(name string, n *node, a *announcer, kubeProxyDown bool) *member {
	index, alive := slices.BinarySearch(c.alive, name)
	m := &member{name: name, index: index}
	switch {
	case a == nil:
		m.barred = NoAnnouncer
	case !alive:
		m.barred = NotAlive
	case n.excluded:
		m.barred = Excluded
	case n.networkUnavailable:
		m.barred = NetworkUnavailable
	case n.draining:
		m.reluctant = Draining
	case n.notReady:
		m.reluctant = NotReady
	case kubeProxyDown:
		m.reluctant = KubeProxyDown
	}
	return m
}

func (c *candidates) member(name string) (*member, bool) {
	i, found := slices.BinarySearchFunc(c.members, name, func(m *member, name string) int { return strings.Compare(m.name, name) })
	if !found {
		return nil, false
	}
	return c.members[i], true
}

// reluctant says whether a node announces only what no other can.
func (c *candidates) reluctant(name string) bool {
	m, found := c.member(name)
	return found && m.reluctant != ""
}

// weightsFor adds up the weights that nodes have for requests; nil if nobody has any.
func (c *candidates) weightsFor(requests []announceRequest) election.Weights {
	var sum election.Weights
	counted := make(map[int]bool, len(requests))
	for _, r := range requests {
		weights := c.weights[r.advertisement]
		if weights == nil || counted[r.advertisement] {
			continue
		}
		counted[r.advertisement] = true
		if sum == nil {
			sum = slices.Clone(weights)
			continue
		}
		for i, w := range weights {
			sum[i] += w
		}
	}
	return sum
}
