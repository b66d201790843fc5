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
	pool := func(name string, changes ...func(*v1alpha1.IPAddressPool)) *v1alpha1.IPAddressPool {
		p := poolObject(name, "10.0.0.0/24")
		for _, change := range changes {
			change(p)
		}
		return p
	}
	later := func(p *v1alpha1.IPAddressPool) { p.CreationTimestamp = young }
	excludes := func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{"10.0.0.128/25"} }
	contested := func(p *v1alpha1.IPAddressPool) {
		p.Status.Contested = []v1alpha1.ContestedAddresses{{Addresses: "10.0.0.190-10.0.0.210", Pool: "other"}}
	}
	wrong := func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = append(p.Spec.Addresses, "nonsense") }
	deleted := func(p *v1alpha1.IPAddressPool) { p.DeletionTimestamp = &young }
	for _, tt := range []struct {
		name  string
		pools []*v1alpha1.IPAddressPool
		want  string
	}{
		{"the oldest before the allocator has seen any", []*v1alpha1.IPAddressPool{pool("a", later), pool("b")}, "b"},
		{"of two of one second the first by name", []*v1alpha1.IPAddressPool{pool("b"), pool("a")}, "a"},
		{"the one that had it first", []*v1alpha1.IPAddressPool{pool("z", later), pool("a", contested)}, "z"},
		{"not one that excludes the address", []*v1alpha1.IPAddressPool{pool("old", excludes), pool("a", later)}, "a"},
		{"not one that is being deleted", []*v1alpha1.IPAddressPool{pool("old", deleted), pool("a", later)}, "a"},
		{"not one that was never good", []*v1alpha1.IPAddressPool{pool("old", wrong), pool("a", later)}, "a"},
		{"one that was never good, if no other contains it", []*v1alpha1.IPAddressPool{pool("old", wrong)}, "old"},
		{"one that is being deleted, if no other contains it", []*v1alpha1.IPAddressPool{pool("old", deleted)}, "old"},
		{"one that excludes the address, if no other contains it", []*v1alpha1.IPAddressPool{pool("old", excludes)}, "old"},
		{"one that leaves it to another that is gone", []*v1alpha1.IPAddressPool{pool("b", contested)}, "b"},
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

func TestAPoolThatCannotBeReadAnyMoreGoesByItsLastGoodVersion(t *testing.T) {
	good := poolObject("lan", "192.168.10.200-192.168.10.250")
	good.UID, good.Generation = "lan", 1
	wrong := good.DeepCopy()
	wrong.Spec.Addresses, wrong.Generation = []string{"192.168.10.239-192.168.10.230"}, 2
	recorded := wrong.DeepCopy()
	recorded.Status.AppliedSpec = &good.Spec
	other := wrong.DeepCopy()
	other.UID = "another"
	web := serviceObject("web", "192.168.10.220")
	for name, tt := range map[string]struct {
		pools []*v1alpha1.IPAddressPool
		want  string
	}{
		"while the process runs":         {[]*v1alpha1.IPAddressPool{good, wrong}, "lan"},
		"in a process that starts later": {[]*v1alpha1.IPAddressPool{recorded}, "lan"},
		"not by that of a namesake":      {[]*v1alpha1.IPAddressPool{good, other}, ""},
	} {
		v := NewView()
		v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, web)
		for _, p := range tt.pools {
			v.SetPool("lan", p)
		}
		got := ""
		if p := poolOf(newMatcher(v.pools, nil).pools, netip.MustParseAddr("192.168.10.220")); p != nil {
			got = p.name
		}
		if got != tt.want {
			t.Errorf("%s: the address is of pool %q, want %q", name, got, tt.want)
		}
	}
}

// TestAnAddressBelongsToThePoolThatTheAllocatorTakesItFrom has pools come, change, go and wait to be
// gone, as an allocator and a View see them. What the allocator finds is recorded in the statuses.
func TestAnAddressBelongsToThePoolThatTheAllocatorTakesItFrom(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	service := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "default", Name: fmt.Sprint("web", i)}
	}
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
			switch what := rapid.IntRange(0, 4).Draw(rt, "what"); {
			case before != nil && what == 0:
				delete(pools, name)
				view.SetPool(name, nil)
			case before != nil && what == 1:
				p := before.DeepCopy()
				p.DeletionTimestamp = &metav1.Time{Time: now}
				pools[name] = p
				view.SetPool(name, p)
			default:
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
				if rapid.IntRange(0, 3).Draw(rt, "cannot be read") == 0 {
					p.Spec.Addresses = append(p.Spec.Addresses, "nonsense")
				}
				pools[name] = p
				view.SetPool(name, p)
			}
			allocator.SetPools(now, slices.Collect(maps.Values(pools)))
			for name, status := range allocator.PoolStatuses(now) {
				after := pools[name].DeepCopy()
				setReady(after, status.Reason)
				after.Status.AppliedSpec, after.Status.Contested = status.AppliedSpec, status.Contested
				view.SetPool(name, after)
				pools[name] = after
			}
			i := rapid.IntRange(1, 8).Draw(rt, "Service")
			_, _ = allocator.Ensure(now, loadbalancer.Request{
				Service: service(i), UID: types.UID(fmt.Sprint(i)), Families: []corev1.IPFamily{corev1.IPv4Protocol},
				Addresses: []netip.Addr{address(i)},
			})
		}
		restarted := NewView() // it knows only what is recorded
		for name, p := range pools {
			restarted.SetPool(name, p)
		}
		for i := 1; i <= 8; i++ {
			request := loadbalancer.Request{
				Service: service(i), UID: types.UID(fmt.Sprint(i)), Families: []corev1.IPFamily{corev1.IPv4Protocol},
				Addresses: []netip.Addr{address(i)},
			}
			out, err := allocator.Ensure(now, request)
			from := out.Pools[address(i)]
			for _, v := range []*View{view, restarted} {
				if got := poolOf(newMatcher(v.pools, nil).pools, address(i)); err == nil && from != "" && got.name != from {
					rt.Fatalf("%s comes from pool %s and is announced as one of %s", address(i), from, got.name)
				}
			}
		}
	})
}
