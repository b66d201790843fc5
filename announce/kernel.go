package announce

import (
	"net/netip"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
)

const (
	// kernelPause is the shortest time between two looks at what the kernel answers for. kube-proxy in IPVS mode gives it
	// thousands of addresses, one by one.
	kernelPause = time.Second
	// kernelPatience is the longest time: the kernel does not report when its settings change.
	kernelPatience = 30 * time.Second
)

// kernelCheck knows whether the kernel of the node leaves it to the announcers to answer for addresses.
type kernelCheck struct {
	// problem is what it answers for by itself, as a sentence; "" if it keeps quiet.
	problem string
	looked  time.Time
	// stale says that what is known may not hold any more.
	stale bool
}

// due is when to look again.
func (c *kernelCheck) due() time.Time {
	if c.stale {
		return c.looked.Add(kernelPause)
	}
	return c.looked.Add(kernelPatience)
}

// look finds out, when it is due, and returns whether the problem is another one. reach tells on which interfaces an address
// might be announced.
func (c *kernelCheck) look(links *layer2.Links, reach func(netip.Addr) []string, logger klog.Logger, now time.Time) (changed bool) {
	if now.Before(c.due()) {
		return false
	}
	before := c.problem
	c.problem, c.looked, c.stale = links.KernelAnswers(reach), now, false
	if c.problem == before {
		return false
	}
	logger.Info("Whether the kernel leaves addresses to the announcers has changed", "problem", c.problem)
	return true
}
