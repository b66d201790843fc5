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
	// interfaces are patterns of their names; none for the one by which the kernel sends to an
	// address.
	interfaces []string
	// unprobed says that the network is not asked for a new address.
	unprobed bool
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
	out := &l2Advertisement{
		selection:  selection,
		interfaces: a.Spec.Interfaces,
		unprobed:   a.Spec.DuplicateAddressDetection == v1alpha1.DuplicateAddressDetectionDisabled,
	}
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

// interfacesFor are those on which the advertisement has an address announced. If it names none,
// that is the one by which the kernel sends to the address. Of those that it names, it is the one by
// which the kernel would send to the address without a router, had it no other interfaces. If there
// is none such, all that it names count, one in each LAN.
func (a *l2Advertisement) interfacesFor(ip netip.Addr, interfaces []Interface) []Interface {
	if len(a.interfaces) == 0 {
		if i, _, ok := lookup(ip, interfaces); ok {
			return []Interface{i}
		}
		return nil
	}
	named := slices.DeleteFunc(slices.Clone(interfaces), func(i Interface) bool { return !a.names(i.Name) })
	if i, onLink, ok := lookup(ip, named); ok && onLink {
		return []Interface{i}
	} else if onLink {
		return nil
	}
	named = slices.DeleteFunc(named, func(i Interface) bool { return i.Down })
	return onePerLAN(preferred(ip, named, interfaces))
}

// preferred puts that of some interfaces first by which the kernel sends to an address: by all its
// interfaces, or else by these alone.
func preferred(ip netip.Addr, some, all []Interface) []Interface {
	first, _, found := lookup(ip, all)
	at := func() int {
		return slices.IndexFunc(some, func(i Interface) bool { return found && i.Name == first.Name })
	}
	n := at()
	if n < 0 {
		first, _, found = lookup(ip, some)
		n = at()
	}
	if n < 0 {
		return some
	}
	return append([]Interface{some[n]}, slices.Delete(slices.Clone(some), n, n+1)...)
}

// covers says whether interfacesFor would return any interface.
func (a *l2Advertisement) covers(ip netip.Addr, interfaces []Interface) bool {
	return len(a.interfacesFor(ip, interfaces)) > 0
}
