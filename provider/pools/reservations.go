package pools

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/lastgood"
	"github.com/clarionlb/clarion/loadbalancer"
)

// reservationState is what there is to say about a reservation.
type reservationState struct {
	reason, message string
}

// reservationReader reads reservations. It remembers the last good version of each: an edit with a
// mistake in it gives no address away.
type reservationReader struct {
	lastGood map[types.UID]*v1alpha1.IPAddressReservationSpec
}

// read returns the reservations, the oldest first, and the state of every one by name. Of one that
// cannot be read as a whole, the last good version stays in force, and what can be read is kept
// beside it. Where two overlap, the older one counts and the younger one says so.
func (r *reservationReader) read(objects []*v1alpha1.IPAddressReservation) ([]loadbalancer.Reservation, map[string]reservationState) {
	slices.SortFunc(objects, func(a, b *v1alpha1.IPAddressReservation) int { return compareObjects(a, b) })
	var usable []loadbalancer.Reservation
	states, before := map[string]reservationState{}, r.lastGood
	r.lastGood = make(map[types.UID]*v1alpha1.IPAddressReservationSpec, len(objects))
	for _, object := range objects {
		choice := lastgood.Choose(lastgood.Object[v1alpha1.IPAddressReservationSpec]{
			Spec:       &object.Spec,
			Applied:    object.Status.AppliedSpec,
			Remembered: before[object.UID],
			Judged:     lastgood.Judged(object.Status.Conditions, object.Generation),
		}, readReservation)
		r.lastGood[object.UID] = choice.Spec
		kept := []loadbalancer.Reservation{choice.Value}
		var failed *guard.Panic
		if errors.As(choice.Wrong, &failed) {
			// Nothing is known of it but what was in force.
		} else if choice.Wrong != nil && choice.Spec != nil {
			readable, _ := readReservation(&object.Spec)
			kept = together(readable, choice.Value)
		}
		message := ""
		for i := range kept {
			kept[i].Name = object.Name
			if len(kept[i].Addresses) > 0 {
				message += "; " + keptFor(kept[i])
			}
		}
		message = strings.TrimPrefix(message, "; ")
		states[object.Name] = reservationState{v1alpha1.ReasonValid, message}
		if older, overlap, found := firstOverlap(usable, choice.Value); found {
			states[object.Name] = reservationState{v1alpha1.ReasonOverlaps, fmt.Sprintf("%s overlaps the older IPAddressReservation %q, which comes first", overlap, older)}
		}
		if choice.Wrong != nil {
			reason := v1alpha1.ReasonInvalidAddress
			if failed != nil {
				reason = v1alpha1.ReasonInternalError
			}
			states[object.Name] = reservationState{reason, strings.TrimSuffix(choice.Wrong.Error()+"; "+message, "; ")}
		}
		usable = append(usable, kept...)
	}
	return usable, states
}

// together is what two versions of a reservation keep.
func together(a, b loadbalancer.Reservation) []loadbalancer.Reservation {
	if a.Service != b.Service && (a.Service == nil || b.Service == nil || *a.Service != *b.Service) {
		return []loadbalancer.Reservation{b, a}
	}
	a.Addresses = merged(a.Addresses, b.Addresses)
	return []loadbalancer.Reservation{a}
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
func readReservation(spec *v1alpha1.IPAddressReservationSpec) (loadbalancer.Reservation, error) {
	var reservation loadbalancer.Reservation
	if service := spec.Service; service != nil {
		reservation.Service = &types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	}
	var wrong error
	for _, entry := range spec.Addresses {
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
