package pools

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// reservationState is what there is to say about a reservation.
type reservationState struct {
	reason, message string
}

// readReservations returns the reservations that can be used, the oldest first, and the state of
// every one by name. One that cannot be read is left out alone; where two overlap, the older one
// counts and the younger one says so.
func readReservations(objects []*v1alpha1.IPAddressReservation) ([]loadbalancer.Reservation, map[string]reservationState) {
	slices.SortFunc(objects, func(a, b *v1alpha1.IPAddressReservation) int { return compareObjects(a, b) })
	var usable []loadbalancer.Reservation
	states := map[string]reservationState{}
	for _, object := range objects {
		reservation, err := readReservation(object)
		if err != nil {
			states[object.Name] = reservationState{v1alpha1.ReasonInvalidAddress, err.Error()}
			continue
		}
		states[object.Name] = reservationState{v1alpha1.ReasonValid, keptFor(reservation)}
		if older, overlap, found := firstOverlap(usable, reservation); found {
			states[object.Name] = reservationState{v1alpha1.ReasonOverlaps, fmt.Sprintf("%s overlaps the older IPAddressReservation %q, which comes first", overlap, older)}
		}
		usable = append(usable, reservation)
	}
	return usable, states
}

func readReservation(object *v1alpha1.IPAddressReservation) (loadbalancer.Reservation, error) {
	reservation := loadbalancer.Reservation{Name: object.Name}
	for _, entry := range object.Spec.Addresses {
		addresses, err := loadbalancer.ParseRange(entry)
		if err != nil {
			return reservation, fmt.Errorf("spec.addresses: %w", err)
		}
		reservation.Addresses = append(reservation.Addresses, addresses)
	}
	if service := object.Spec.Service; service != nil {
		reservation.Service = &types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	}
	return reservation, nil
}

func keptFor(reservation loadbalancer.Reservation) string {
	var addresses []string
	for _, entry := range reservation.Addresses {
		addresses = append(addresses, entry.String())
	}
	if reservation.Service == nil {
		return strings.Join(addresses, ", ") + " kept out of use"
	}
	return strings.Join(addresses, ", ") + " kept for Service " + reservation.Service.String()
}

// firstOverlap returns which of some reservations has addresses of another one, and the other one's
// entry.
func firstOverlap(reservations []loadbalancer.Reservation, other loadbalancer.Reservation) (name string, entry loadbalancer.Range, found bool) {
	for _, reservation := range reservations {
		for _, a := range reservation.Addresses {
			for _, b := range other.Addresses {
				if a.Contains(b.From) || b.Contains(a.From) {
					return reservation.Name, b, true
				}
			}
		}
	}
	return "", loadbalancer.Range{}, false
}

// compareObjects puts the older of two cluster-scoped objects first.
func compareObjects(a, b metav1.Object) int {
	created := a.GetCreationTimestamp()
	return cmp.Or(created.Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
}
