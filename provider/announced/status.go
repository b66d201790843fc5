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
		write(ctx, "L2Advertisement", e.l2Advertisements, api.L2Advertisements().UpdateStatus, func(name string, o *v1alpha1.L2Advertisement) {
			o.Status.AppliedSpec = recorded(e.view.L2Advertisement(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.l2AdvertisementCondition(name))
		}, func(o *v1alpha1.L2Advertisement) []metav1.Condition { return o.Status.Conditions }),
		write(ctx, "BGPPeer", e.peers, api.BGPPeers().UpdateStatus, func(name string, o *v1alpha1.BGPPeer) {
			o.Status = e.peerStatus(name)
		}, func(o *v1alpha1.BGPPeer) []metav1.Condition { return o.Status.Conditions }),
		write(ctx, "BGPAdvertisement", e.advertisements, api.BGPAdvertisements().UpdateStatus, func(name string, o *v1alpha1.BGPAdvertisement) {
			o.Status.AppliedSpec = recorded(e.view.BGPAdvertisement(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.advertisementCondition(name, contradictions))
		}, func(o *v1alpha1.BGPAdvertisement) []metav1.Condition { return o.Status.Conditions }),
		write(ctx, "Community", e.communities, api.Communities().UpdateStatus, func(name string, o *v1alpha1.Community) {
			o.Status.AppliedSpec = recorded(e.view.Community(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.communityCondition(name))
		}, func(o *v1alpha1.Community) []metav1.Condition { return o.Status.Conditions }),
		write(ctx, "BFDProfile", e.profiles, api.BFDProfiles().UpdateStatus, func(name string, o *v1alpha1.BFDProfile) {
			o.Status.AppliedSpec = recorded(e.view.BFDProfile(name), o.Status.AppliedSpec)
			meta.SetStatusCondition(&o.Status.Conditions, e.profileCondition(name))
		}, func(o *v1alpha1.BFDProfile) []metav1.Condition { return o.Status.Conditions }),
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
func write[T any, O object[T]](ctx context.Context, kind string, objects map[string]O,
	update func(context.Context, O, metav1.UpdateOptions) (O, error), set func(name string, o O), conditions func(O) []metav1.Condition,
) bool {
	done := true
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		before, updated := objects[name], O(objects[name].DeepCopy())
		if guard.Run("announced", name, func() { set(name, updated) }) != nil {
			continue
		}
		if apiequality.Semantic.DeepEqual(updated, before) {
			continue
		}
		_, err := update(ctx, updated, metav1.UpdateOptions{})
		done = status.Written(ctx, err, updated) && done
		if err == nil {
			status.LogChanges(ctx, kind, name, conditions(before), conditions(updated))
		}
	}
	return done
}
