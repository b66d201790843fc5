package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

func TestOfPoolsThatOverlapTheOldestCounts(t *testing.T) {
	old, young := poolObject("old", "192.168.10.220-192.168.10.230"), poolObject("a", "192.168.10.0/24", "nonsense")
	young.CreationTimestamp = metav1.Now()
	l := web(t)
	l.set(func(v *View) { v.SetPool("lan", nil) })
	l.setPool(old)
	l.setPool(young)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"a"}})
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Errorf("announced by %v", got)
	}
	l.set(func(v *View) { v.SetPool("old", nil) })
	l.settle()
	l.owner(vip)
}

func TestWhichOfSeveralPoolsHasAnAddress(t *testing.T) {
	young := metav1.Unix(1_700_000_000, 0)
	pool := func(name, reason string, change func(*v1alpha1.IPAddressPool)) *v1alpha1.IPAddressPool {
		p := poolObject(name, "10.0.0.0/24")
		if reason != "" {
			setReady(p, reason)
		}
		change(p)
		return p
	}
	same := func(*v1alpha1.IPAddressPool) {}
	later := func(p *v1alpha1.IPAddressPool) { p.CreationTimestamp = young }
	for _, tt := range []struct {
		name  string
		pools []*v1alpha1.IPAddressPool
		want  string
	}{
		{"the oldest before the allocator has seen any",
			[]*v1alpha1.IPAddressPool{pool("a", "", later), pool("b", "", same)}, "b"},
		{"of two of one second the first by name", []*v1alpha1.IPAddressPool{pool("b", "", same), pool("a", "", same)}, "a"},
		{"of two of one second the one in use", []*v1alpha1.IPAddressPool{pool("z", v1alpha1.ReasonValid, same), pool("a", "", same)}, "z"},
		{"not an older one that cannot be used",
			[]*v1alpha1.IPAddressPool{pool("old", v1alpha1.ReasonInvalidAddress, same), pool("a", v1alpha1.ReasonValid, later)}, "a"},
		{"not one that overlaps a third",
			[]*v1alpha1.IPAddressPool{pool("b", v1alpha1.ReasonOverlaps, same), pool("c", v1alpha1.ReasonValid, later)}, "c"},
		{"not one that excludes the address", []*v1alpha1.IPAddressPool{
			pool("old", v1alpha1.ReasonValid, func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{"10.0.0.128/25"} }),
			pool("a", v1alpha1.ReasonValid, later),
		}, "a"},
		{"one that excludes the address, if no other contains it", []*v1alpha1.IPAddressPool{
			pool("old", v1alpha1.ReasonValid, func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{"10.0.0.128/25"} }),
		}, "old"},
		{"one that is not used, if no other contains it", []*v1alpha1.IPAddressPool{pool("b", v1alpha1.ReasonOverlaps, same)}, "b"},
	} {
		v := NewView()
		for _, p := range tt.pools {
			v.SetPool(p.Name, p)
		}
		if got := poolOf(newMatcher(v.pools, nil).pools, netip.MustParseAddr("10.0.0.200")); got.name != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got.name, tt.want)
		}
	}
}

// TestAnAddressBelongsToThePoolThatTheAllocatorTakesItFrom has pools come, change and go, as an
// allocator and a View see them. The allocator's answer is recorded in the statuses.
func TestAnAddressBelongsToThePoolThatTheAllocatorTakesItFrom(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	rapid.Check(t, func(rt *rapid.T) {
		allocator, view := loadbalancer.New(), NewView()
		pools := map[string]*v1alpha1.IPAddressPool{}
		rangeOf := func(label string) string {
			from := rapid.IntRange(1, 8).Draw(rt, label+" from")
			return fmt.Sprintf("%s-%s", address(from), address(rapid.IntRange(from, 8).Draw(rt, label+" to")))
		}
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "pool")
			before := pools[name]
			if before != nil && rapid.Bool().Draw(rt, "delete") {
				delete(pools, name)
				view.SetPool(name, nil)
			} else {
				p := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
				p.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "created")) * time.Second))
				if before != nil {
					p = before.DeepCopy()
				}
				p.Generation++
				p.Spec = v1alpha1.IPAddressPoolSpec{Addresses: []string{rangeOf("addresses")}, ReuseAfter: &metav1.Duration{}}
				if rapid.Bool().Draw(rt, "excludes") {
					p.Spec.Exclude = []string{rangeOf("exclude")}
				}
				if rapid.IntRange(0, 5).Draw(rt, "cannot be read") == 0 {
					p.Spec.Addresses = append(p.Spec.Addresses, "nonsense")
				}
				pools[name] = p
				view.SetPool(name, p)
			}
			allocator.SetPools(now, slices.Collect(maps.Values(pools)))
			for name, status := range allocator.PoolStatuses(now) {
				after := pools[name].DeepCopy()
				setReady(after, status.Reason)
				view.SetPool(name, after)
				pools[name] = after
			}
		}
		sorted := newMatcher(view.pools, nil).pools
		for i := 1; i <= 8; i++ {
			for name := range pools {
				request := loadbalancer.Request{
					Service: types.NamespacedName{Namespace: "default", Name: "web"}, UID: "web",
					Families: []corev1.IPFamily{corev1.IPv4Protocol}, Pool: name, Addresses: []netip.Addr{address(i)},
				}
				_, err := allocator.Ensure(now, request)
				if got := poolOf(sorted, address(i)); err == nil && got.name != name {
					rt.Fatalf("%s comes from pool %s and is announced as one of %s", address(i), name, got.name)
				}
				allocator.Release(now, request.Service, request.UID)
			}
		}
	})
}
