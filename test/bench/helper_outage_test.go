package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
func (o *outage) awaitMembers(b *testing.B, count int32) {
	b.Helper()
	install.Eventually(b, fmt.Sprintf("%d announcers", count), func(ctx context.Context) error {
		list, err := o.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		seen := map[string]int32{}
		agree := int32(0)
		for _, announcer := range list.Items {
			seen[announcer.Name] = announcer.Status.Members.Alive
			if announcer.Status.Members.Alive == count {
				agree++
			}
		}
		if agree < count {
			return fmt.Errorf("members seen: %v", seen)
		}
		return nil
	})
}
