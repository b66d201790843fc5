package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConditionsOf are the conditions in the status of an object of this package; nil of another.
func ConditionsOf(object any) []metav1.Condition {
	switch o := object.(type) {
	case *Announcer:
		return o.Status.Conditions
	case *BFDProfile:
		return o.Status.Conditions
	case *BGPAdvertisement:
		return o.Status.Conditions
	case *BGPPeer:
		return o.Status.Conditions
	case *Community:
		return o.Status.Conditions
	case *IPAddressPool:
		return o.Status.Conditions
	case *IPAddressReservation:
		return o.Status.Conditions
	case *L2Advertisement:
		return o.Status.Conditions
	}
	return nil
}
