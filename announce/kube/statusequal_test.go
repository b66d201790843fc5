package kube

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func claimed(addresses int) v1alpha1.AnnouncerStatus {
	status := v1alpha1.AnnouncerStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady}}}
	for i := range addresses {
		status.Layer2.Addresses = append(status.Layer2.Addresses, v1alpha1.Layer2Address{
			IP: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Interfaces: []string{"eth0"}, Epoch: 1, Since: metav1.Unix(1, 0), PreviousOwners: []string{"n2"},
		})
	}
	return status
}

func TestEveryFieldOfAClaimIsCompared(t *testing.T) {
	others := map[reflect.Type]any{
		reflect.TypeFor[string]():      "other",
		reflect.TypeFor[[]string]():    []string{"other"},
		reflect.TypeFor[int64]():       int64(99),
		reflect.TypeFor[metav1.Time](): metav1.Unix(99, 0),
	}
	for i := range reflect.TypeFor[v1alpha1.Layer2Address]().NumField() {
		field := reflect.TypeFor[v1alpha1.Layer2Address]().Field(i)
		other, known := others[field.Type]
		if !known {
			t.Fatalf("the test has no other %s for %s", field.Type, field.Name)
		}
		changed := claimed(3)
		reflect.ValueOf(&changed.Layer2.Addresses[1]).Elem().Field(i).Set(reflect.ValueOf(other))
		if equalStatus(claimed(3), changed) {
			t.Errorf("another %s makes no difference", field.Name)
		}
	}
}

func TestStatusesThatMeanTheSameAreEqual(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.AnnouncerStatus){
		"the same": func(*v1alpha1.AnnouncerStatus) {},
		"another time zone": func(s *v1alpha1.AnnouncerStatus) {
			s.Layer2.Addresses[0].Since.Time = s.Layer2.Addresses[0].Since.In(time.FixedZone("", 3600))
		},
		"an empty list for nil": func(s *v1alpha1.AnnouncerStatus) { s.Layer2.Conflicts = []v1alpha1.Layer2Conflict{} },
	} {
		other := claimed(3)
		if change(&other); !equalStatus(claimed(3), other) {
			t.Errorf("%s: not equal", name)
		}
	}
	for name, change := range map[string]func(*v1alpha1.AnnouncerStatus){
		"one claim less":    func(s *v1alpha1.AnnouncerStatus) { s.Layer2.Addresses = s.Layer2.Addresses[:2] },
		"another condition": func(s *v1alpha1.AnnouncerStatus) { s.Conditions[0].Reason = "Other" },
		"another session":   func(s *v1alpha1.AnnouncerStatus) { s.BGP.Peers = []v1alpha1.BGPSession{{Name: "r"}} },
	} {
		other := claimed(3)
		if change(&other); equalStatus(claimed(3), other) {
			t.Errorf("%s: equal", name)
		}
	}
}

func TestToCompareStatusesTakesNoMoreForMoreClaims(t *testing.T) {
	takes := func(claims int) float64 {
		a, b := claimed(claims), claimed(claims)
		return testing.AllocsPerRun(10, func() { equalStatus(a, b) })
	}
	if few, many := takes(1), takes(1000); many > few {
		t.Errorf("to compare makes %.0f objects with 1 claim, and %.0f with 1,000", few, many)
	}
}
