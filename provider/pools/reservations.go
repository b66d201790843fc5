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

// reservationReader reads reservations. It remembers what those kept that cannot be read any more: an
// edit with a mistake in it gives no address away. A new process keeps what can be read of them.
type reservationReader struct {
	// lastGood are the addresses of each reservation as of when it could be read as a whole.
	lastGood map[types.UID][]loadbalancer.Range
}

// read returns the reservations, the oldest first, and the state of every one by name. Of one that
// cannot be read as a whole, what can be is kept, and what it kept before; where two overlap, the
// older one counts and the younger one says so.
func (r *reservationReader) read(objects []*v1alpha1.IPAddressReservation) ([]loadbalancer.Reservation, map[string]reservationState) {
	slices.SortFunc(objects, func(a, b *v1alpha1.IPAddressReservation) int { return compareObjects(a, b) })
	var usable []loadbalancer.Reservation
	states, before := map[string]reservationState{}, r.lastGood
	r.lastGood = make(map[types.UID][]loadbalancer.Range, len(objects))
	for _, object := range objects {
		reservation, err := readReservation(object)
		if err != nil {
			reservation.Addresses = merged(reservation.Addresses, before[object.UID])
			r.lastGood[object.UID] = before[object.UID]
			message := err.Error()
			if len(reservation.Addresses) > 0 {
				message += "; " + keptFor(reservation)
			}
			states[object.Name] = reservationState{v1alpha1.ReasonInvalidAddress, message}
			usable = append(usable, reservation)
			continue
		}
		r.lastGood[object.UID] = reservation.Addresses
		states[object.Name] = reservationState{v1alpha1.ReasonValid, keptFor(reservation)}
		if older, overlap, found := firstOverlap(usable, reservation); found {
			states[object.Name] = reservationState{v1alpha1.ReasonOverlaps, fmt.Sprintf("%s overlaps the older IPAddressReservation %q, which comes first", overlap, older)}
		}
		usable = append(usable, reservation)
	}
	return usable, states
}

// merged are the addresses of two lists, without entries that stand in both.
func merged(a, b []loadbalancer.Range) []loadbalancer.Range {
	all := slices.Clone(a)
	for _, entry := range b {
		if !slices.Contains(all, entry) {
			all = append(all, entry)
		}
	}
	return all
}

// readReservation returns what can be read of a reservation, and what is wrong with the rest.
func readReservation(object *v1alpha1.IPAddressReservation) (loadbalancer.Reservation, error) {
	reservation := loadbalancer.Reservation{Name: object.Name}
	if service := object.Spec.Service; service != nil {
		reservation.Service = &types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	}
	var wrong error
	for _, entry := range object.Spec.Addresses {
		addresses, err := loadbalancer.ParseRange(entry)
		if err != nil {
			wrong = cmp.Or(wrong, fmt.Errorf("spec.addresses: %w", err))
			continue
		}
		reservation.Addresses = append(reservation.Addresses, addresses)
	}
	return reservation, wrong
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
