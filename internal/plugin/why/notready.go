package why

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// NotReady are the objects of the configuration that say that something is wrong with them, "L2Advertisement all", but for pools and
// BGPPeers, of which there is more to tell.
func NotReady(s *snapshot.State) []Item {
	return slices.Concat(
		notReady("IPAddressReservation", s.IPAddressReservations),
		notReady("L2Advertisement", s.L2Advertisements),
		notReady("BGPAdvertisement", s.BGPAdvertisements),
		notReady("Community", s.Communities),
		notReady("BFDProfile", s.BFDProfiles),
	)
}

func notReady[T metav1.Object](kind string, objects []T) (items []Item) {
	for _, o := range objects {
		ready := meta.FindStatusCondition(v1alpha1.ConditionsOf(o), v1alpha1.ConditionReady)
		if ready != nil && ready.Status != metav1.ConditionTrue {
			items = append(items, Item{Name: kind + " " + o.GetName(), Mark: Warning, Sentence: ready.Message})
		}
	}
	return items
}
