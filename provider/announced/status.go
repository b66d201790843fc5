package provider

import (
	"context"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeRoutes writes the status of every BGPPeer, BGPAdvertisement and BFDProfile where it is not what it should be, and reports whether
// all that could be written was. Whoever waits for the API here waits for conditions only.
func (k *announcedKeeper) writeRoutes(ctx context.Context) bool {
	done := k.writeProfiles(ctx)
	client := k.clarion.ClarionV1alpha1()
	for _, name := range slices.Sorted(maps.Keys(k.observer.peers)) {
		object := k.observer.peers[name].object
		status := k.observer.peerStatus(name)
		if apiequality.Semantic.DeepEqual(status, object.Status) {
			continue
		}
		updated := object.DeepCopy()
		updated.Status = status
		_, err := client.BGPPeers().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = written(ctx, err, object) && done
	}
	if len(k.observer.advertisements) == 0 {
		return done
	}
	contradictions := k.observer.routes.Contradictions()
	for _, name := range slices.Sorted(maps.Keys(k.observer.advertisements)) {
		object := k.observer.advertisements[name].object
		updated := object.DeepCopy()
		if !meta.SetStatusCondition(&updated.Status.Conditions, k.observer.advertisementCondition(name, contradictions)) {
			continue
		}
		_, err := client.BGPAdvertisements().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = written(ctx, err, object) && done
	}
	return done
}
