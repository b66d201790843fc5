package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// outage is a cluster whose nodes announce addresses by layer 2.
type outage struct {
	*install.Installation
	addresses []netip.Addr
	// watcher asks who has the addresses.
	watcher *network.Host
}

// awaitMembers waits until that many announcers each count that many as alive, themselves included.
func (o *outage) awaitMembers(b *testing.B, count int) {
	b.Helper()
	install.Eventually(b, fmt.Sprintf("%d announcers", count), func(ctx context.Context) error {
		seen := map[string]int{}
		agree := 0
		for _, node := range o.Nodes() {
			alive, err := install.MembersAlive(ctx, node)
			if err != nil {
				continue // a node without power has no announcer
			}
			if seen[node.Name] = alive; alive == count {
				agree++
			}
		}
		if agree < count {
			return fmt.Errorf("members seen: %v", seen)
		}
		return nil
	})
}
