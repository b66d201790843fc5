package announced

import (
	"context"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/provider/internal/status"
)

// writeStatuses writes the status of every BGPPeer, BGPAdvertisement and BFDProfile where it is not
// what it should be, and reports whether all that could be written was. Whoever waits for the API
// here waits for conditions only.
func (c *Controller) writeStatuses(ctx context.Context) bool {
	peers, advertisements, profiles := c.writePeers(ctx), c.writeAdvertisements(ctx), c.writeProfiles(ctx)
	return peers && advertisements && profiles
}

func (c *Controller) writePeers(ctx context.Context) bool {
	done := true
	for _, name := range slices.Sorted(maps.Keys(c.evaluator.peers)) {
		updated := c.evaluator.peers[name].object.DeepCopy()
		before := updated.Status
		if updated.Status = c.evaluator.peerStatus(name); apiequality.Semantic.DeepEqual(updated.Status, before) {
			continue
		}
		_, err := c.Clarion.ClarionV1alpha1().BGPPeers().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, updated) && done
	}
	return done
}

func (c *Controller) writeAdvertisements(ctx context.Context) bool {
	if len(c.evaluator.advertisements) == 0 {
		return true
	}
	done, contradictions := true, c.evaluator.bgp.Contradictions()
	for _, name := range slices.Sorted(maps.Keys(c.evaluator.advertisements)) {
		updated := c.evaluator.advertisements[name].object.DeepCopy()
		if !meta.SetStatusCondition(&updated.Status.Conditions, c.evaluator.advertisementCondition(name, contradictions)) {
			continue
		}
		_, err := c.Clarion.ClarionV1alpha1().BGPAdvertisements().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, updated) && done
	}
	return done
}

func (c *Controller) writeProfiles(ctx context.Context) bool {
	done := true
	for _, name := range slices.Sorted(maps.Keys(c.evaluator.profiles)) {
		updated := c.evaluator.profiles[name].object.DeepCopy()
		if !meta.SetStatusCondition(&updated.Status.Conditions, c.evaluator.profileCondition(name)) {
			continue
		}
		_, err := c.Clarion.ClarionV1alpha1().BFDProfiles().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, updated) && done
	}
	return done
}
