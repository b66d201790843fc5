package announced

import (
	"context"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// writeStatuses writes the status of every object where it is not what it should be, and reports
// whether all that could be written was. Whoever waits for the API here waits for conditions only.
func (c *Controller) writeStatuses(ctx context.Context) bool {
	e, api := c.evaluator, c.Clarion.ClarionV1alpha1()
	contradictions := e.bgp.Contradictions()
	done := []bool{
		write(ctx, e.l2Advertisements, api.L2Advertisements().UpdateStatus, func(name string, o *v1alpha1.L2Advertisement) {
			o.Status.AppliedSpec = recorded(e.view.L2Advertisement(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.l2AdvertisementCondition(name))
		}),
		write(ctx, e.peers, api.BGPPeers().UpdateStatus, func(name string, o *v1alpha1.BGPPeer) {
			o.Status = e.peerStatus(name)
		}),
		write(ctx, e.advertisements, api.BGPAdvertisements().UpdateStatus, func(name string, o *v1alpha1.BGPAdvertisement) {
			o.Status.AppliedSpec = recorded(e.view.BGPAdvertisement(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.advertisementCondition(name, contradictions))
		}),
		write(ctx, e.communities, api.Communities().UpdateStatus, func(name string, o *v1alpha1.Community) {
			o.Status.AppliedSpec = recorded(e.view.Community(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.communityCondition(name))
		}),
		write(ctx, e.profiles, api.BFDProfiles().UpdateStatus, func(name string, o *v1alpha1.BFDProfile) {
			o.Status.AppliedSpec = recorded(e.view.BFDProfile(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.profileCondition(name))
		}),
	}
	return !slices.Contains(done, false)
}

// object is one of our API.
type object[T any] interface {
	*T
	klog.KMetadata
	DeepCopy() *T
}

// write has every object of a kind get its status, and writes those that change.
func write[T any, O object[T]](ctx context.Context, objects map[string]O, update func(context.Context, O, metav1.UpdateOptions) (O, error), set func(name string, o O)) bool {
	done := true
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		updated := O(objects[name].DeepCopy())
		if guard.Run("announced", name, func() { set(name, updated) }) != nil {
			continue
		}
		if apiequality.Semantic.DeepEqual(updated, objects[name]) {
			continue
		}
		_, err := update(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, updated) && done
	}
	return done
}
