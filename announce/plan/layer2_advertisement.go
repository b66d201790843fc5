package plan

import (
	"fmt"
	"net/netip"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// l2Advertisement is what a plan needs of an L2Advertisement.
type l2Advertisement struct {
	selection
	preferences []preference
	// interfaces are patterns of their names; none for those in whose networks an address is or
	// whose default route it is behind.
	interfaces []string
}

// preference is the weight of the nodes that a selector matches.
type preference struct {
	selector labels.Selector
	weight   int32
}

func newL2Advertisement(a *v1alpha1.L2Advertisement) (*l2Advertisement, error) {
	selection, err := newSelection(a.Name, a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors, a.Spec.ServiceSelectors, a.Spec.NodeSelectors)
	if err != nil {
		return nil, err
	}
	out := &l2Advertisement{selection: selection, interfaces: a.Spec.Interfaces}
	for i, p := range a.Spec.PreferredNodeSelectors {
		selector, err := p.Preference.Selector()
		if err != nil {
			return nil, fmt.Errorf("spec.preferredNodeSelectors[%d].preference: %w", i, err)
		}
		out.preferences = append(out.preferences, preference{selector, p.Weight})
	}
	for i, pattern := range out.interfaces {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("spec.interfaces[%d] %q: %w", i, pattern, err)
		}
	}
	return out, nil
}

// weight of a node with these labels: the sum of the preferences that match.
func (a *l2Advertisement) weight(l labels.Set) (sum int32) {
	for _, p := range a.preferences {
		if p.selector.Matches(l) {
			sum += p.weight
		}
	}
	return sum
}

// names says whether the advertisement asks for an interface by name.
func (a *l2Advertisement) names(ifname string) bool {
	return slices.ContainsFunc(a.interfaces, func(pattern string) bool {
		matches, _ := path.Match(pattern, ifname)
		return matches
	})
}

// interfacesFor are the names of the interfaces on which the advertisement has an address
// announced: those that it names or, if it names none, those in whose networks the address is or,
// without one, those with a default route.
func (a *l2Advertisement) interfacesFor(ip netip.Addr, interfaces []Interface) []string {
	var named, near, routed []string
	for _, i := range interfaces {
		if a.names(i.Name) {
			named = append(named, i.Name)
		}
		if i.Contains(ip) {
			near = append(near, i.Name)
		}
		if i.routes(ip) {
			routed = append(routed, i.Name)
		}
	}
	switch {
	case len(a.interfaces) > 0:
		return named
	case len(near) > 0:
		return near
	default:
		return routed
	}
}

// covers says whether interfacesFor would name any interface.
func (a *l2Advertisement) covers(ip netip.Addr, interfaces []Interface) bool {
	return slices.ContainsFunc(interfaces, func(i Interface) bool {
		if len(a.interfaces) > 0 {
			return a.names(i.Name)
		}
		return i.Contains(ip) || i.routes(ip)
	})
}
