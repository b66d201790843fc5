package show

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

var poolsVerb = verb{
	use:   "pools [POOL]",
	short: "Show which address has who, what awaits its reuse and what is kept",
	long: `Of each IPAddressPool all addresses are shown that are not simply free: those that Services have, those that were given back a short
while ago, and those that are kept for a Service or for nobody, and why.

The exit code is 1 if a pool cannot be used as it is written.`,
	example: `  kubectl clarion pools
  kubectl clarion pools public -o json`,
	one: "pool",
	of:  poolNames,
	view: func(s *snapshot.State, name string) (view, error) {
		v, uses := pools{}, usesOf(s)
		for _, p := range s.IPAddressPools {
			if name == "" || p.Name == name {
				of := poolOf(s, p)
				of.Uses = uses[p.Name]
				v.Pools = append(v.Pools, of)
			}
		}
		if name != "" && len(v.Pools) == 0 {
			return nil, plugin.Usagef("there is no IPAddressPool %s", name)
		}
		return &v, nil
	},
}

func poolNames(ctx context.Context, clients *plugin.Clients, _ string) (names []string, err error) {
	list, err := clients.Clarion.ClarionV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	return names, nil
}

type pools struct {
	Pools []pool `json:"pools"`
}

type pool struct {
	Name     string   `json:"name"`
	Ranges   []string `json:"ranges"`
	Ready    bool     `json:"ready"`
	Reason   string   `json:"reason"`
	Message  string   `json:"message"`
	Families []family `json:"families,omitempty"`
	Uses     []use    `json:"uses,omitempty"`
}

// family counts the addresses of one family.
type family struct {
	Family        corev1.IPFamily `json:"family"`
	Total         int64           `json:"total"`
	Assigned      int64           `json:"assigned"`
	Available     int64           `json:"available"`
	AwaitingReuse int64           `json:"awaitingReuse"`
}

// use is one address, or a range of those that are kept.
type use struct {
	Addresses string   `json:"addresses"`
	State     string   `json:"state"` // Assigned, AwaitingReuse, Kept, Conflict
	Services  []string `json:"services,omitempty"`
	Message   string   `json:"message,omitempty"`
	from      netip.Addr
}

// poolOf is a pool without its uses.
func poolOf(s *snapshot.State, object *v1alpha1.IPAddressPool) pool {
	status := s.Pools[object.Name]
	p := pool{Name: object.Name, Ready: status.Ready, Reason: status.Reason, Message: status.Message, Families: familiesOf(s, object.Name)}
	for _, r := range s.Allocator.Ranges(object.Name) {
		p.Ranges = append(p.Ranges, r.String())
	}
	return p
}

// usesOf has the uses of all pools, by pool.
func usesOf(s *snapshot.State) map[string][]use {
	pools := map[string][]use{}
	for _, u := range s.Uses {
		of := use{Addresses: u.Address.String(), State: "Assigned", from: u.Address}
		for _, service := range u.Services {
			of.Services = append(of.Services, service.String())
		}
		if len(u.Services) == 0 {
			of.State = "AwaitingReuse"
			of.Message = fmt.Sprintf("until %s for namespace %s", u.ReusableAt.UTC().Format(time.RFC3339), u.FormerNamespace)
		}
		pools[u.Pool] = append(pools[u.Pool], of)
	}
	for _, object := range s.IPAddressPools {
		for _, k := range s.Allocator.Kept(object.Name) {
			of := use{Addresses: k.Range.String(), State: "Kept", Message: k.Sentence, from: k.From}
			if k.Conflict {
				of.State = "Conflict"
			}
			pools[object.Name] = append(pools[object.Name], of)
		}
		slices.SortStableFunc(pools[object.Name], func(a, b use) int { return a.from.Compare(b.from) })
	}
	return pools
}

// familiesOf counts the addresses of a pool.
func familiesOf(s *snapshot.State, name string) (list []family) {
	status := s.Pools[name]
	add := func(f corev1.IPFamily, c *v1alpha1.AddressCounts, awaiting int64) {
		if c != nil {
			list = append(list, family{f, c.Total, c.Assigned, c.Available, awaiting})
		}
	}
	add(corev1.IPv4Protocol, status.IPv4, status.AwaitingReuseIPv4)
	add(corev1.IPv6Protocol, status.IPv6, status.AwaitingReuseIPv6)
	return list
}

func (v *pools) well() bool {
	return !slices.ContainsFunc(v.Pools, func(p pool) bool { return !p.Ready && p.Reason != v1alpha1.ReasonDeleting })
}

func (v *pools) text(out io.Writer, style plugin.Style, _ bool) error {
	for i, p := range v.Pools {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s %s\n", style.Paint(plugin.Bold, p.Name), strings.Join(p.Ranges, ", "))
		if p.Ready {
			fmt.Fprintf(out, "  %s\n", p.Message)
		} else {
			fmt.Fprintf(out, "  %s: %s\n", style.Paint(plugin.Red, p.Reason), p.Message)
		}
		for _, f := range p.Families {
			fmt.Fprintf(out, "  %s %s %d of %d in use, %d free\n", f.Family, bar(f.Assigned, f.Total), f.Assigned, f.Total, f.Available)
		}
		var rows [][]string
		for _, u := range p.Uses {
			rows = append(rows, []string{"  " + u.Addresses, u.State, strings.TrimSpace(strings.Join(append(slices.Clone(u.Services), u.Message), " "))})
		}
		if len(rows) > 0 {
			if err := table(out, []string{"  ADDRESS", "STATE", "SERVICES"}, rows); err != nil {
				return err
			}
		}
	}
	return nil
}
