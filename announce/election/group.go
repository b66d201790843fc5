package election

import "slices"

// group are the addresses that go to one node where they can. A nil group has no members.
type group struct {
	name string
	// members are sorted by age.
	members []*candidacy
	// cachedParts are the parts as the members stand; nil when they must be found again.
	cachedParts []part
}

// part are addresses of a group for all of which some node is fit. A group has one part, or several if no node could own all
// of its addresses. The parts follow from which nodes are fit and not from who holds what: as nodes record what they were
// given, the addresses that are still open must not come together in another way.
type part struct {
	members []*candidacy
	// common are the nodes that are fit for all members.
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

// hasAssignee says whether a node is the keeper of a member other than c.
func (g *group) hasAssignee(node int, c *candidacy) bool {
	if g == nil {
		return false
	}
	return slices.ContainsFunc(g.members, func(m *candidacy) bool { return m != c && m.assignee == node })
}

// currentParts are the parts as the members stand.
func (g *group) currentParts() []part {
	if g.cachedParts == nil {
		g.cachedParts = g.partition(func(m *candidacy) Set { return m.candidates })
	}
	return g.cachedParts
}

// partition splits the group: every member, oldest first, joins the first part that has a node which is fit for it too. Members
// for which no node is fit are in no part.
func (g *group) partition(fit func(*candidacy) Set) []part {
	var parts []part
	for _, m := range g.members {
		set := fit(m)
		if set.empty() {
			continue
		}
		i := slices.IndexFunc(parts, func(p part) bool { return p.common.intersects(set) })
		if i < 0 {
			parts = append(parts, part{[]*candidacy{m}, set})
			continue
		}
		parts[i].members = append(parts[i].members, m)
		parts[i].common = parts[i].common.and(set)
	}
	return parts
}

// partWith finds the part that has a member.
func partWith(parts []part, c *candidacy) (part, bool) {
	for _, p := range parts {
		if slices.Contains(p.members, c) {
			return p, true
		}
	}
	return part{}, false
}
