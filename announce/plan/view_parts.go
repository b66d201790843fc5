package plan

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/lastgood"
)

// parts are those of an object on which it depends which version is in force.
type parts[S any] struct {
	meta *metav1.ObjectMeta
	// spec and applied point into the object. applied is status.appliedSpec.
	spec, applied *S
	conditions    []metav1.Condition
}

func partsOfL2Advertisement(o *v1alpha1.L2Advertisement) parts[v1alpha1.L2AdvertisementSpec] {
	return parts[v1alpha1.L2AdvertisementSpec]{&o.ObjectMeta, &o.Spec, o.Status.AppliedSpec, o.Status.Conditions}
}

func partsOfBGPPeer(o *v1alpha1.BGPPeer) parts[v1alpha1.BGPPeerSpec] {
	return parts[v1alpha1.BGPPeerSpec]{&o.ObjectMeta, &o.Spec, o.Status.AppliedSpec, o.Status.Conditions}
}

func partsOfBGPAdvertisement(o *v1alpha1.BGPAdvertisement) parts[v1alpha1.BGPAdvertisementSpec] {
	return parts[v1alpha1.BGPAdvertisementSpec]{&o.ObjectMeta, &o.Spec, o.Status.AppliedSpec, o.Status.Conditions}
}

func partsOfCommunity(o *v1alpha1.Community) parts[v1alpha1.CommunitySpec] {
	return parts[v1alpha1.CommunitySpec]{&o.ObjectMeta, &o.Spec, o.Status.AppliedSpec, o.Status.Conditions}
}

func partsOfBFDProfile(o *v1alpha1.BFDProfile) parts[v1alpha1.BFDProfileSpec] {
	return parts[v1alpha1.BFDProfileSpec]{&o.ObjectMeta, &o.Spec, o.Status.AppliedSpec, o.Status.Conditions}
}

// recordConcerns says whether it concerns plans what the cloud-controller-manager has recorded of the
// last good version of an object. It does not if that is the version that is written.
func recordConcerns(before, after metav1.Object) bool {
	switch o := after.(type) {
	case *v1alpha1.L2Advertisement:
		return anotherRecord(before, o, partsOfL2Advertisement)
	case *v1alpha1.BGPPeer:
		return anotherRecord(before, o, partsOfBGPPeer)
	case *v1alpha1.BGPAdvertisement:
		return anotherRecord(before, o, partsOfBGPAdvertisement)
	case *v1alpha1.Community:
		return anotherRecord(before, o, partsOfCommunity)
	case *v1alpha1.BFDProfile:
		return anotherRecord(before, o, partsOfBFDProfile)
	}
	return false
}

func anotherRecord[O, S any](before any, after *O, of func(*O) parts[S]) bool {
	was, is := of(before.(*O)), of(after)
	return !reflect.DeepEqual(is.applied, is.spec) && (!reflect.DeepEqual(was.applied, is.applied) ||
		lastgood.Judged(was.conditions, is.meta.Generation) != lastgood.Judged(is.conditions, is.meta.Generation))
}
