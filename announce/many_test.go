package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// answered says for how many of some addresses a node answers.
func (l *fakeLAN) answered(addresses []netip.Addr) (count int) {
	for _, ip := range addresses {
		if len(l.owners(ip)) == 1 {
			count++
		}
	}
	return count
}

func TestManyNewAddressesTakeFewWritesAndNoLonger(t *testing.T) {
	const many = 1000
	for name, tt := range map[string]struct {
		// every is the time between two new Services.
		every time.Duration
		// writes are the most of one announcer; slowest is how long the last address may take, from its Service to its first answer.
		writes  int
		slowest time.Duration
	}{
		"all at once":                   {0, 3, 460 * time.Millisecond}, // the probe alone takes 450 ms
		"as fast as the API takes them": {20 * time.Millisecond, 58, 460 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			names := []string{"n1", "n2", "n3"}
			inCluster(t, names, func(t *testing.T, c *cluster) {
				c.api.set(func(v *plan.View) {
					v.SetPool("many", &v1alpha1.IPAddressPool{
						ObjectMeta: metav1.ObjectMeta{Name: "many"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"172.16.0.0/16"}},
					})
				})
				for _, name := range names {
					c.start(name)
				}
				c.after(time.Minute)
				c.api.forgetCounts()
				var waiting []netip.Addr
				var begun []time.Time
				var slowest, sum time.Duration
				look := func() {
					c.after(10 * time.Millisecond)
					for len(waiting) > 0 && c.lan.answered(waiting[:1]) == 1 {
						took := time.Since(begun[0])
						slowest, sum = max(slowest, took), sum+took
						waiting, begun = waiting[1:], begun[1:]
					}
				}
				for i := range many {
					ip := netip.AddrFrom4([4]byte{172, 16, byte(1 + i/200), byte(1 + i%200)})
					c.service(fmt.Sprint("many-", i), ip.String())
					waiting, begun = append(waiting, ip), append(begun, time.Now())
					for wait := tt.every; wait > 0; wait -= 10 * time.Millisecond {
						look()
					}
				}
				for range 500 {
					look()
				}
				c.after(time.Minute)
				c.api.mu.Lock()
				defer c.api.mu.Unlock()
				writes := []int{c.api.writes["n1"], c.api.writes["n2"], c.api.writes["n3"]}
				t.Logf("the announcers have written %d times; an address took %s on average, and %s at most", writes, sum/many, slowest)
				if slices.Max(writes) > tt.writes || slowest > tt.slowest || len(waiting) > 0 {
					t.Errorf("want at most %d writes and %s; %d addresses are left", tt.writes, tt.slowest, len(waiting))
				}
			})
		})
	}
}
