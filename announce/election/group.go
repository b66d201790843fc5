package election

import "slices"

// group is a set of addresses that go to one node where they can. A nil group has no members.
type group struct {
	name string
	// members are sorted by age.
	members []*candidacy
	// cachedParts are what currentParts returns; nil when they must be computed again.
	cachedParts []part
}

// part is a set of addresses of a group that have a candidate in common. A group has one part, or
// several if no node could own all of its addresses. The parts depend on the candidates alone and
// not on who owns what: when nodes record the claims that they were given, the addresses that are
// still open must stay in the same parts.
type part struct {
	members []*candidacy
	// common are the nodes that are candidates for all members.
	common Set
}

func (g *group) add(c *candidacy) {
	i, _ := slices.BinarySearchFunc(g.members, c, older)
	g.members = slices.Insert(g.members, i, c)
	g.cachedParts = nil
}

func (g *group) remove(c *candidacy) {
	g.members = slices.DeleteFunc(g.members, func(m *candidacy) bool { return m == c })
	g.cachedParts = nil
}

// hasAssignee says whether the node is the assignee of a member other than c.
func (g *group) hasAssignee(node int, c *candidacy) bool {
	if g == nil {
		return false
	}
	return slices.ContainsFunc(g.members, func(m *candidacy) bool { return m != c && m.assignee == node })
}

// currentParts are the parts of the group among all live nodes.
func (g *group) currentParts() []part {
	if g.cachedParts == nil {
		g.cachedParts = g.partition(func(m *candidacy) Set { return m.candidates })
	}
	return g.cachedParts
}

// partition splits the group into parts. Every member, oldest first, joins the first part with
// which it shares a candidate. Members without a candidate are in no part.
func (g *group) partition(candidates func(*candidacy) Set) []part {
	var parts []part
	for _, m := range g.members {
		own := candidates(m)
		if own.empty() {
			continue
		}
		i := slices.IndexFunc(parts, func(p part) bool { return p.common.intersects(own) })
		if i < 0 {
			parts = append(parts, part{[]*candidacy{m}, own})
			continue
		}
		parts[i].members = append(parts[i].members, m)
		parts[i].common = parts[i].common.and(own)
	}
	return parts
}

// partWith finds the part that the address is in.
func partWith(parts []part, c *candidacy) (part, bool) {
	for _, p := range parts {
		if slices.Contains(p.members, c) {
			return p, true
		}
	}
	return part{}, false
}
