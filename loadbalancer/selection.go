package loadbalancer

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// selection is spec.serviceAllocation: which Services may use the pool. A nil list admits all, an
// empty one admits none. A pool that merely excludes namespaces is one for all in the order of pools.
type selection struct {
	present           bool
	anyNamespace      bool
	namespaces        map[string]bool
	excluded          map[string]bool
	namespaceSelector []labels.Selector
	anyService        bool
	serviceSelector   []labels.Selector
}

func readSelection(spec *v1alpha1.ServiceAllocation) (selection, error) {
	s := selection{
		anyNamespace: spec.Namespaces == nil && spec.NamespaceSelectors == nil,
		anyService:   spec.ServiceSelectors == nil,
		namespaces:   map[string]bool{},
		excluded:     map[string]bool{},
	}
	s.present = !s.anyNamespace || !s.anyService
	for _, name := range spec.Namespaces {
		s.namespaces[name] = true
	}
	for _, name := range spec.ExcludedNamespaces {
		s.excluded[name] = true
	}
	var err error
	if s.namespaceSelector, err = readSelectors("spec.serviceAllocation.namespaceSelectors", spec.NamespaceSelectors); err != nil {
		return selection{}, err
	}
	if s.serviceSelector, err = readSelectors("spec.serviceAllocation.serviceSelectors", spec.ServiceSelectors); err != nil {
		return selection{}, err
	}
	return s, nil
}

func readSelectors(where string, specs []v1alpha1.LabelSelector) ([]labels.Selector, error) {
	var list []labels.Selector
	for i := range specs {
		selector, err := specs[i].Selector()
		if err != nil {
			return nil, &selectorError{where + "[" + strconv.Itoa(i) + "]", err}
		}
		list = append(list, selector)
	}
	return list, nil
}

type selectorError struct {
	where string
	err   error
}

func (e *selectorError) Error() string { return badSelector(e.where, e.err) }

// admitsNamespace reports whether Services of a namespace may use the pool. The labels of a
// namespace that is not known are nil, and no selector matches them: a Service must not get by
// being early what it would be refused later.
func (s *selection) admitsNamespace(name string, set labels.Set) bool {
	if s.excluded[name] {
		return false
	}
	if !s.present || s.anyNamespace || s.namespaces[name] {
		return true
	}
	return set != nil && slices.ContainsFunc(s.namespaceSelector, func(l labels.Selector) bool { return l.Matches(set) })
}

// admitsLabels reports whether Services with these labels may use the pool.
func (s *selection) admitsLabels(set labels.Set) bool {
	if !s.present || s.anyService {
		return true
	}
	return slices.ContainsFunc(s.serviceSelector, func(l labels.Selector) bool { return l.Matches(set) })
}
