package plan

import (
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAnAdvertisementThatCannotBeReadSelectsNothing(t *testing.T) {
	v := NewView()
	for _, spec := range []v1alpha1.L2AdvertisementSpec{
		{Interfaces: []string{"eth["}},
		{NodeSelectors: []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}}},
	} {
		if err := v.SetL2Advertisement("a", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{}}); err != nil {
			t.Fatal(err)
		}
		if err := v.SetL2Advertisement("a", &v1alpha1.L2Advertisement{Spec: spec}); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
		if len(v.l2Advertisements) > 0 {
			t.Error("selects what it selected before")
		}
	}
}
