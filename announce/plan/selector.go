package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// selection is what advertisements of every kind select: pools, Services and nodes. An empty list
// selects all.
type selection struct {
	name          string
	pools         []string
	poolSelectors []labels.Selector
	services      []labels.Selector
	nodes         []labels.Selector
}

func newSelection(name string, pools []string, poolSelectors, services, nodes []v1alpha1.LabelSelector) (selection, error) {
	out := selection{name: name, pools: pools}
	for _, s := range []struct {
		field string
		from  []v1alpha1.LabelSelector
		to    *[]labels.Selector
	}{
		{"ipAddressPoolSelectors", poolSelectors, &out.poolSelectors},
		{"serviceSelectors", services, &out.services},
		{"nodeSelectors", nodes, &out.nodes},
	} {
		selectors, err := readSelectors(s.field, s.from)
		if err != nil {
			return selection{}, err
		}
		*s.to = selectors
	}
	return out, nil
}

// readSelectors parses the selectors of a field of the spec.
func readSelectors(field string, from []v1alpha1.LabelSelector) ([]labels.Selector, error) {
	var out []labels.Selector
	for i := range from {
		selector, err := from[i].Selector()
		if err != nil {
			return nil, fmt.Errorf("spec.%s[%d]: %w", field, i, err)
		}
		out = append(out, selector)
	}
	return out, nil
}

func (s *selection) selectsPool(p *pool) bool {
	if len(s.pools) == 0 && len(s.poolSelectors) == 0 {
		return true
	}
	return slices.Contains(s.pools, p.name) || anyMatches(s.poolSelectors, p.labels)
}

func (s *selection) selectsService(l labels.Set) bool {
	return len(s.services) == 0 || anyMatches(s.services, l)
}

func (s *selection) selectsNode(l labels.Set) bool {
	return len(s.nodes) == 0 || anyMatches(s.nodes, l)
}

func anyMatches(selectors []labels.Selector, l labels.Set) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(l) })
}
