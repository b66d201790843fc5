package pools

import (
	"encoding/json"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// Whatever an edit makes of an IPAddressReservation, another one keeps what it keeps, and the edited one too what it kept, unless the
// whole of the edit can be read.
func FuzzAReservationGivesNothingAway(f *testing.F) {
	f.Add(`{"addresses": ["192.0.2.1/32"]}`)
	f.Add(`{"addresses": ["0.0.0.0/0", "::/0", "x"], "service": {"namespace": "", "name": "/"}}`)
	f.Add(`{"addresses": ["192.0.2.20-192.0.2.10"], "service": {}}`)
	f.Add(`{"addresses": ["192.0.2.9", "192.0.2.9", ""]}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		var edit v1alpha1.IPAddressReservationSpec
		if json.Unmarshal([]byte(text), &edit) != nil {
			return
		}
		object := func(name string, addresses ...string) *v1alpha1.IPAddressReservation {
			return &v1alpha1.IPAddressReservation{
				ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-of-0"}, Spec: v1alpha1.IPAddressReservationSpec{Addresses: addresses},
			}
		}
		other, edited := object("other", "192.0.2.1"), object("edited", "192.0.2.2")
		edited.UID = "uid-of-1"
		keeps := func(usable []loadbalancer.Reservation, name, address string) bool {
			want, err := loadbalancer.ParseRange(address)
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(usable, func(r loadbalancer.Reservation) bool { return r.Name == name && slices.Contains(r.Addresses, want) })
		}
		var reader reservationReader
		reader.read([]*v1alpha1.IPAddressReservation{other, edited})
		edited = edited.DeepCopy() // an informer has another object for each version
		edited.Spec = edit
		usable, states := reader.read([]*v1alpha1.IPAddressReservation{other, edited})
		if !keeps(usable, "other", "192.0.2.1") {
			t.Errorf("%q took from the other one what it keeps", text)
		}
		if states["edited"].reason == v1alpha1.ReasonInvalidAddress && !keeps(usable, "edited", "192.0.2.2") {
			t.Errorf("%q gave away what was kept", text)
		}
	})
}
