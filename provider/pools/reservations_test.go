package pools

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

func TestReservationsAreReadAloneAndTheOlderOfTwoCounts(t *testing.T) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	reservation := func(name string, age int, service *v1alpha1.ServiceReference, addresses ...string) *v1alpha1.IPAddressReservation {
		return &v1alpha1.IPAddressReservation{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(day.AddDate(0, 0, -age))},
			Spec:       v1alpha1.IPAddressReservationSpec{Addresses: addresses, Service: service},
		}
	}
	var reader reservationReader
	usable, states := reader.read([]*v1alpha1.IPAddressReservation{
		reservation("younger", 1, nil, "192.0.2.8-192.0.2.20"),
		reservation("older", 3, &v1alpha1.ServiceReference{Namespace: "shop", Name: "front"}, "192.0.2.10", "2001:db8::/126"),
		reservation("garbage", 2, nil, "192.0.2.30", "nonsense"),
		reservation("apart", 0, nil, "192.0.2.40/31"),
		reservation("nothing", -1, nil, "nonsense"),
	})
	var order []string
	for _, r := range usable {
		order = append(order, r.Name)
	}
	if got, want := fmt.Sprint(order), "[older garbage younger apart nothing]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := usable[0].Service; s == nil || s.String() != "shop/front" {
		t.Errorf("got Service %v, want shop/front", s)
	}
	for name, want := range map[string]reservationState{
		"older":   {"Valid", "192.0.2.10, 2001:db8::-2001:db8::3 kept for Service shop/front"},
		"younger": {"Overlaps", `192.0.2.8-192.0.2.20 overlaps the older IPAddressReservation "older", which comes first`},
		"garbage": {"InvalidAddress", `spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address; 192.0.2.30 kept out of use`},
		"apart":   {"Valid", "192.0.2.40-192.0.2.41 kept out of use"},
		"nothing": {"InvalidAddress", `spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address`},
	} {
		if states[name] != want {
			t.Errorf("%s: got %v, want %v", name, states[name], want)
		}
	}
}

func TestAReservationThatBecomesUnreadableGivesNothingAway(t *testing.T) {
	reservation := func(addresses ...string) *v1alpha1.IPAddressReservation {
		return &v1alpha1.IPAddressReservation{
			ObjectMeta: metav1.ObjectMeta{Name: "kept", UID: "1"},
			Spec:       v1alpha1.IPAddressReservationSpec{Addresses: addresses},
		}
	}
	kept := func(reader *reservationReader, object *v1alpha1.IPAddressReservation) string {
		usable, _ := reader.read([]*v1alpha1.IPAddressReservation{object})
		return fmt.Sprint(usable[0].Addresses)
	}
	var reader reservationReader
	for _, step := range []struct {
		object *v1alpha1.IPAddressReservation
		want   string
	}{
		{reservation("192.0.2.1", "192.0.2.8/31"), "[192.0.2.1 192.0.2.8-192.0.2.9]"},
		{reservation("192.0.2.1", "192.0.2.8/33"), "[192.0.2.1 192.0.2.8-192.0.2.9]"},
		{reservation("192.0.2.2", "nonsense"), "[192.0.2.2 192.0.2.1 192.0.2.8-192.0.2.9]"},
		{reservation("192.0.2.2"), "[192.0.2.2]"},
		{reservation("nonsense"), "[192.0.2.2]"},
	} {
		if got := kept(&reader, step.object); got != step.want {
			t.Errorf("%v: kept %s, want %s", step.object.Spec.Addresses, got, step.want)
		}
	}
	if got := kept(&reservationReader{}, reservation("192.0.2.1", "nonsense")); got != "[192.0.2.1]" {
		t.Errorf("of one that was never good %s is kept, want what can be read", got)
	}
	recorded := reservation("192.0.2.1", "nonsense")
	recorded.Status.AppliedSpec = &reservation("192.0.2.8/31").Spec
	if got := kept(&reservationReader{}, recorded); got != "[192.0.2.1 192.0.2.8-192.0.2.9]" {
		t.Errorf("a new process keeps %s, want what is recorded too", got)
	}
}

func TestAReservationThatBecomesUnreadableKeepsItsAddressesForWhomTheyWere(t *testing.T) {
	front := &v1alpha1.ServiceReference{Namespace: "shop", Name: "front"}
	object := &v1alpha1.IPAddressReservation{
		ObjectMeta: metav1.ObjectMeta{Name: "kept", UID: "1"},
		Spec:       v1alpha1.IPAddressReservationSpec{Addresses: []string{"192.0.2.1"}, Service: front},
	}
	var reader reservationReader
	reader.read([]*v1alpha1.IPAddressReservation{object})
	object = object.DeepCopy()
	object.Spec = v1alpha1.IPAddressReservationSpec{Addresses: []string{"192.0.2.2", "nonsense"}}
	_, states := reader.read([]*v1alpha1.IPAddressReservation{object})
	const want = `spec.addresses: "nonsense" is neither a CIDR, a range nor an IP address; 192.0.2.1 kept for Service shop/front; 192.0.2.2 kept out of use`
	if got := states["kept"].message; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestWhatTwoVersionsOfAReservationKeepTogether(t *testing.T) {
	shop := func() *types.NamespacedName { return &types.NamespacedName{Namespace: "shop", Name: "front"} }
	blog := &types.NamespacedName{Namespace: "blog", Name: "front"}
	for name, tt := range map[string]struct {
		a, b *types.NamespacedName
		want int
	}{
		"for nobody":                   {nil, nil, 1},
		"for one Service":              {shop(), shop(), 1},
		"for another Service":          {shop(), blog, 2},
		"for a Service that was new":   {shop(), nil, 2},
		"for a Service that was there": {nil, blog, 2},
	} {
		if got := together(loadbalancer.Reservation{Service: tt.a}, loadbalancer.Reservation{Service: tt.b}); len(got) != tt.want {
			t.Errorf("%s: %d reservations", name, len(got))
		}
	}
}
