package loadbalancer

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// InUse says whether addresses of a pool are handed out, by what the status of the pool says. Of
// pools that overlap the Allocator uses one and records which: whoever has no Allocator goes by
// that. A pool that no Allocator has seen yet is not in use.
func InUse(pool *v1alpha1.IPAddressPool) bool {
	ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonValid
}
