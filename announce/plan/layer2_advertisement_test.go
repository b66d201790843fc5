package plan

import (
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAnAdvertisementThatCouldNeverBeReadSelectsNothing(t *testing.T) {
	v := NewView()
	for _, spec := range []v1alpha1.L2AdvertisementSpec{
		{Interfaces: []string{"eth["}},
		{NodeSelectors: []v1alpha1.LabelSelector{misspelt}},
		{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{{Weight: 1, Preference: misspelt}}},
	} {
		v.SetL2Advertisement("a", nil)
		v.SetL2Advertisement("a", &v1alpha1.L2Advertisement{Spec: spec})
		v.Settle()
		if state := v.L2Advertisement("a"); state.Problem == nil || state.Used || state.LastGood != nil || len(v.l2Advertisements.inForce) > 0 {
			t.Errorf("%+v: %+v", spec, state)
		}
	}
}

// misspelt is a selector that cannot be read.
var misspelt = v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Inn"}}}
