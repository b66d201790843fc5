package loadbalancer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestEveryPoolSaysWhyItHasNoAddressForAService(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := New()
	a.SetNamespace(now, "default", nil)
	pool := func(name string, spec v1alpha1.IPAddressPoolSpec) *v1alpha1.IPAddressPool {
		return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: spec}
	}
	deleted := pool("deleted", v1alpha1.IPAddressPoolSpec{Addresses: []string{"198.51.100.8/30"}})
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	a.SetPools(now, []*v1alpha1.IPAddressPool{
		pool("asked", v1alpha1.IPAddressPoolSpec{Addresses: []string{"198.51.100.0/30"}, AutoAssign: new(false)}),
		pool("broken", v1alpha1.IPAddressPoolSpec{Addresses: []string{"198.51.100.300"}}),
		deleted,
		pool("full", v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.0.2.1/32"}}),
		pool("limited", v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.0.2.4/30"},
			ServiceAllocation: &v1alpha1.ServiceAllocation{MaxAddressesPerNamespace: 1}}),
		pool("others", v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.0.2.8/30"},
			ServiceAllocation: &v1alpha1.ServiceAllocation{Namespaces: []string{"shop"}}}),
		pool("six", v1alpha1.IPAddressPoolSpec{Addresses: []string{"2001:db8::/64"}}),
		pool("spare", v1alpha1.IPAddressPoolSpec{Addresses: []string{"203.0.113.0/24"}}),
	})
	ensure := func(name, address, pool string) {
		r := Request{Service: types.NamespacedName{Namespace: "default", Name: name}, UID: types.UID(name),
			Families: []corev1.IPFamily{corev1.IPv4Protocol}, Pool: pool}
		if address != "" {
			r.Addresses = []netip.Addr{netip.MustParseAddr(address)}
		}
		_, _ = a.Ensure(now, r)
	}
	explain := func(name string) string {
		var b strings.Builder
		for _, v := range a.Explain(types.NamespacedName{Namespace: "default", Name: name}) {
			fmt.Fprintf(&b, "%s %s %s %s\n", v.Pool, v.Family, v.Address, v.Refused)
		}
		return b.String()
	}
	ensure("first", "192.0.2.1", "")
	ensure("limit", "192.0.2.4", "")
	ensure("web", "", "")
	const want = `others IPv4 invalid IP is not for Services in namespace "default"
asked IPv4 invalid IP is only for Services that ask for it (autoAssign: false)
deleted IPv4 invalid IP is being deleted
full IPv4 invalid IP has no free IPv4 address
limited IPv4 invalid IP gives a namespace 1 at most (maxAddressesPerNamespace), and namespace "default" has 1 IPv4 address
six IPv4 invalid IP has no IPv4 addresses
spare IPv4 203.0.113.0 
broken IPv4 invalid IP cannot be used: spec.addresses: "198.51.100.300" is neither a CIDR, a range nor an IP address
`
	if got := explain("web"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	ensure("named", "", "six")
	if got := explain("named"); !strings.Contains(got, `spare IPv4 invalid IP is not asked: the Service asks for pool "six"`) ||
		!strings.Contains(got, "six IPv4 invalid IP has no IPv4 addresses") {
		t.Error(got)
	}
	ensure("wish", "192.0.2.1", "")
	if got := explain("wish"); !strings.Contains(got, "spare IPv4 invalid IP is not asked: the Service asks for 192.0.2.1, which is not in it") {
		t.Error(got)
	}
	if got := explain("nobody"); got != "" {
		t.Error(got)
	}
}

func TestUsesAreWhoHasWhichAddressAndWhatAwaitsItsReuse(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := New()
	a.SetReserved(now, []ReservedRange{{Prefix: netip.MustParsePrefix("192.0.2.3/32"), What: `the address of node "n1"`}})
	a.SetPools(now, []*v1alpha1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/30"}}}})
	for _, name := range []string{"a", "b"} {
		if _, err := a.Ensure(now, Request{Service: types.NamespacedName{Namespace: "default", Name: name}, UID: types.UID(name),
			Families: []corev1.IPFamily{corev1.IPv4Protocol}}); err != nil {
			t.Fatal(err)
		}
	}
	a.Release(now, types.NamespacedName{Namespace: "default", Name: "b"}, "")
	uses := a.Uses()
	if len(uses) != 2 || uses[0].Services[0].Name != "a" || uses[0].Pool != "pool" || len(uses[1].Services) != 0 ||
		uses[1].FormerNamespace != "default" || !uses[1].ReusableAt.Equal(now.Add(defaultReuseAfter)) {
		t.Errorf("%+v", uses)
	}
	if kept := a.Kept("pool"); len(kept) != 1 || kept[0].Sentence != `192.0.2.3 is never handed out: it is the address of node "n1"` {
		t.Errorf("%+v", kept)
	}
	for address, want := range map[string]string{
		"192.0.2.0": "192.0.2.0 is the address of Service default/a",
		"192.0.2.1": `192.0.2.1 awaits its reuse: until 2026-01-01T00:00:30Z only Services of namespace "default", which had it, may ask for it`,
		"192.0.2.2": `192.0.2.2 is free: pool "pool" has it, and no Service`,
		"192.0.2.3": `192.0.2.3 is never handed out: it is the address of node "n1"`,
		"192.0.2.4": "192.0.2.4 is in no pool",
	} {
		if got := a.ExplainAddress(now, netip.MustParseAddr(address)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if a.PoolOf(netip.MustParseAddr("192.0.2.2")) != "pool" || a.PoolOf(netip.MustParseAddr("192.0.3.2")) != "" {
		t.Error("an address is in another pool")
	}
}
