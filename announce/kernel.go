package announce

import (
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

const (
	// kernelCheckMin is the shortest time between two checks of what the kernel answers for.
	// kube-proxy in IPVS mode gives it thousands of addresses, one by one.
	kernelCheckMin = time.Second
	// kernelCheckMax is the longest time: the kernel does not report when its settings change.
	kernelCheckMax = 30 * time.Second
)

// kernelCheck knows what the kernel of the node has, and whether it leaves it to the announcers to
// answer for addresses.
type kernelCheck struct {
	// problem is what it answers for by itself, as a sentence; "" if it keeps quiet.
	problem string
	// host is what the kernel has.
	host    v1alpha1.HostStatus
	checked time.Time
	// stale says that what is known may not hold any more.
	stale bool
}

// due is when to check again.
func (c *kernelCheck) due() time.Time {
	if c.stale {
		return c.checked.Add(kernelCheckMin)
	}
	return c.checked.Add(kernelCheckMax)
}

// check finds out, when it is due, and returns whether the problem is another one, or what the kernel
// has. planner knows what may be announced.
func (c *kernelCheck) check(kernel links, planner *plan.Layer2Planner, now time.Time) (changed bool) {
	if now.Before(c.due()) {
		return false
	}
	before := *c
	c.problem, c.host, c.checked, c.stale = kernel.KernelAnswers(layer2.Announced{
		Interfaces: planner.LANInterfaces(),
		Addresses:  planner.Addresses,
		Arrivals:   planner.Arrivals,
	}), hostOf(kernel), now, false
	return c.problem != before.problem || !apiequality.Semantic.DeepEqual(c.host, before.host)
}

// condition is what the Announcer says of it.
func (c *kernelCheck) condition() metav1.Condition {
	strict := metav1.Condition{
		Type:    v1alpha1.ConditionStrictARP,
		Status:  metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonStrict,
		Message: "The kernel leaves it to the announcers to answer for the addresses of Services.",
	}
	if c.problem != "" {
		strict.Status, strict.Reason, strict.Message = metav1.ConditionFalse, v1alpha1.ReasonKernelAnswers, c.problem
	}
	return strict
}
