package dashboard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/loadbalancer"
)

// pool is an IPAddressPool, with what is drawn of it.
type pool struct {
	Name       string    `json:"name"`
	State      standing  `json:"state"`
	Reason     string    `json:"reason"`
	Words      string    `json:"words"`
	AutoAssign bool      `json:"autoAssign"`
	Counts     []count   `json:"counts"`
	Drawings   []drawing `json:"drawings"`
}

// count is how many addresses of a family a pool has.
type count struct {
	Family   corev1.IPFamily `json:"family"`
	Assigned int64           `json:"assigned"`
	Total    int64           `json:"total"`
}

// drawing is a range of a pool: with rows where it is small, and with blocks where it is large.
type drawing struct {
	Range  string  `json:"range"`
	Rows   []row   `json:"rows,omitempty"`
	Blocks []block `json:"blocks,omitempty"`
}

// use is what an address of a pool is used for.
type use string

const (
	free      use = "free"
	assigned  use = "assigned"
	silent    use = "trouble" // assigned, and nobody announces it
	resting   use = "resting"
	reserved  use = "reserved"
	contested use = "contested"
	unusable  use = "unusable" // left out by exclude or avoidBuggyIPs
)

// cell is one address.
type cell struct {
	IP       string   `json:"ip"`
	State    use      `json:"state"`
	Words    string   `json:"words,omitempty"`
	Services []string `json:"services,omitempty"`
	Nodes    []string `json:"nodes,omitempty"`
}

// chart has what there is to know of the addresses of one pool. What it has of no address is free.
type chart struct {
	cells  map[netip.Addr]*cell
	sorted []netip.Addr // of cells
	kept   []keptRange
	skips  func(netip.Addr) bool
}

// keptRange is a range of which all addresses that nobody has are used alike.
type keptRange struct {
	loadbalancer.Range
	use   use
	words string
}

func poolsOf(state *snapshot.State, services []service) []pool {
	list := []pool{}
	cells, rest := cellsOf(state, services), float64(maxDrawn)
	for _, object := range state.IPAddressPools {
		status := state.Pools[object.Name]
		p := pool{Name: object.Name, State: well, Reason: status.Reason, Words: status.Message, AutoAssign: true}
		if !status.Ready {
			p.State = warning
		}
		if spec := status.AppliedSpec; spec != nil {
			p.AutoAssign = spec.AutoAssign == nil || *spec.AutoAssign
		}
		for family, counts := range map[corev1.IPFamily]*v1alpha1.AddressCounts{corev1.IPv4Protocol: status.IPv4, corev1.IPv6Protocol: status.IPv6} {
			if counts != nil {
				p.Counts = append(p.Counts, count{family, counts.Assigned, counts.Total})
			}
		}
		slices.SortFunc(p.Counts, func(a, b count) int { return cmp.Compare(a.Family, b.Family) })
		if p.State == well && slices.ContainsFunc(p.Counts, func(c count) bool { return c.Total > 0 && c.Assigned == c.Total }) {
			p.State, p.Reason, p.Words = warning, "full", "every address is assigned"
		}
		p.Drawings = chartOf(state, object.Name, cells[object.Name], status).draw(state.Allocator.Ranges(object.Name), status.Contested, &rest)
		list = append(list, p)
	}
	return list
}

// cellsOf has the addresses that Services have, or had a short while ago, by pool.
func cellsOf(state *snapshot.State, services []service) map[string]map[netip.Addr]*cell {
	announcedBy := map[string]serviceAddress{}
	for _, s := range services {
		for _, a := range s.Addresses {
			announcedBy[a.IP] = a
		}
	}
	pools := map[string]map[netip.Addr]*cell{}
	for _, u := range state.Uses {
		c := &cell{IP: u.Address.String(), State: assigned}
		a := announcedBy[c.IP]
		switch {
		case len(u.Services) == 0:
			c.State = resting
			c.Words = fmt.Sprintf("rests until %s; namespace %s had it", u.ReusableAt.UTC().Format("15:04:05"), u.FormerNamespace)
		default:
			for _, name := range u.Services {
				c.Services = append(c.Services, name.String())
			}
			c.Nodes = a.Nodes
			c.Words = strings.Join(c.Services, ", ") + ", announced by " + strings.Join(a.Nodes, ", ")
			if !a.announced {
				c.State, c.Words = silent, strings.Join(c.Services, ", ")+", not announced"
			}
		}
		if pools[u.Pool] == nil {
			pools[u.Pool] = map[netip.Addr]*cell{}
		}
		pools[u.Pool][u.Address] = c
	}
	return pools
}

func chartOf(state *snapshot.State, name string, cells map[netip.Addr]*cell, status loadbalancer.PoolStatus) *chart {
	c := &chart{cells: map[netip.Addr]*cell{}, skips: func(netip.Addr) bool { return false }}
	for ip, cell := range cells {
		c.cells[ip] = cell
		c.sorted = append(c.sorted, ip)
	}
	slices.SortFunc(c.sorted, netip.Addr.Compare)
	for _, kept := range state.Allocator.Kept(name) {
		c.kept = append(c.kept, keptRange{kept.Range, reserved, kept.Sentence})
	}
	for _, lost := range status.Contested {
		if r, err := loadbalancer.ParseRange(lost.Addresses); err == nil {
			c.kept = append(c.kept, keptRange{r, contested, "pool " + lost.Pool + " had it first"})
		}
	}
	if status.AppliedSpec != nil && status.AppliedSpec.AvoidBuggyIPs {
		c.skips = loadbalancer.Buggy
	}
	slices.SortFunc(c.kept, func(a, b keptRange) int { return a.From.Compare(b.From) })
	return c
}

// at is what there is to know of an address.
func (c *chart) at(ip netip.Addr) *cell {
	if known := c.cells[ip]; known != nil {
		return known
	}
	for _, k := range c.kept {
		if k.Contains(ip) {
			return &cell{IP: ip.String(), State: k.use, Words: k.words}
		}
	}
	if c.skips(ip) {
		return &cell{IP: ip.String(), State: unusable, Words: "left out: avoidBuggyIPs"}
	}
	return &cell{IP: ip.String(), State: free}
}
