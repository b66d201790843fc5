package plan

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestTheClaimThatHoldsIsTheOneTheElectionGoesBy(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.1")
	since := time.Unix(1_700_000_000, 0)
	claimed := func(epoch int64, interfaces ...string) *v1alpha1.Announcer {
		return &v1alpha1.Announcer{Status: v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{
			Addresses: []v1alpha1.Layer2Address{{IP: ip.String(), Epoch: epoch, Interfaces: interfaces, Since: metav1.NewTime(since)}},
		}}}
	}
	set := func(v *View, name string, a *v1alpha1.Announcer) {
		a.Name = name
		v.SetAnnouncer(name, a)
	}
	v := NewView()
	if got, held := v.Claim(ip); held {
		t.Errorf("an address that nobody claims is claimed: %+v", got)
	}
	set(v, "n2", claimed(3, "eth0"))
	set(v, "n1", claimed(2, "eth0", "eth1"))
	v.changes() // claims that come from now on have an order
	for _, step := range []struct {
		name, node string
		announcer  *v1alpha1.Announcer
		want       Claim
	}{
		{"the highest epoch holds", "n3", claimed(1, "eth0"), Claim{"n2", []string{"eth0"}, 3, since}},
		{"a tentative claim holds like any other", "n1", claimed(4), Claim{"n1", nil, 4, since}},
		{"of equal epochs the one that was recorded first holds", "n2", claimed(4, "eth0"), Claim{"n1", nil, 4, since}},
		{"a claim that is repeated keeps its place", "n1", claimed(4, "eth1"), Claim{"n1", []string{"eth1"}, 4, since}},
	} {
		set(v, step.node, step.announcer)
		if got, held := v.Claim(ip); !held || !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: got %+v %t, want %+v", step.name, got, held, step.want)
		}
	}
	v.SetAnnouncer("n1", nil)
	if got, _ := v.Claim(ip); got.Node != "n2" {
		t.Errorf("the claim of an announcer that is gone holds: %+v", got)
	}
}

func TestWhatAMemberHasClaimedOutlivesARestoreOfTheAPI(t *testing.T) {
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	claiming := func(version string, claims map[netip.Addr]int64) *v1alpha1.Announcer {
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1", ResourceVersion: version}}
		for ip, epoch := range claims {
			a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses,
				v1alpha1.Layer2Address{IP: ip.String(), Epoch: epoch, Interfaces: []string{"eth0"}})
		}
		return a
	}
	for _, test := range []struct {
		name    string
		inSight []string
		// then are states that follow one in which n1 has both addresses in epoch 3.
		then []*v1alpha1.Announcer
		want map[netip.Addr]int64
	}{
		{"a later state replaces it", []string{"n1"}, []*v1alpha1.Announcer{claiming("101", map[netip.Addr]int64{one: 4})}, map[netip.Addr]int64{one: 4}},
		{"an earlier state takes nothing back", []string{"n1"}, []*v1alpha1.Announcer{claiming("99", map[netip.Addr]int64{one: 2})},
			map[netip.Addr]int64{one: 3, other: 3}},
		{"an earlier state with news adds them", []string{"n1"}, []*v1alpha1.Announcer{claiming("50", map[netip.Addr]int64{one: 4})},
			map[netip.Addr]int64{one: 4, other: 3}},
		{"an earlier state that is listed again takes nothing back either", []string{"n1"},
			[]*v1alpha1.Announcer{claiming("99", map[netip.Addr]int64{one: 2}), claiming("99", map[netip.Addr]int64{one: 2})},
			map[netip.Addr]int64{one: 3, other: 3}},
		{"nor does one that is earlier still", []string{"n1"},
			[]*v1alpha1.Announcer{claiming("99", map[netip.Addr]int64{one: 2}), claiming("98", nil), claiming("98", nil)},
			map[netip.Addr]int64{one: 3, other: 3}},
		{"what it says next replaces all", []string{"n1"},
			[]*v1alpha1.Announcer{claiming("50", map[netip.Addr]int64{one: 2}), claiming("51", map[netip.Addr]int64{other: 3})}, map[netip.Addr]int64{other: 3}},
		{"of a node out of sight the API alone tells", []string{"n2"}, []*v1alpha1.Announcer{claiming("99", map[netip.Addr]int64{one: 2})},
			map[netip.Addr]int64{one: 2}},
		{"made anew after a restore", []string{"n1"},
			[]*v1alpha1.Announcer{nil, claiming("50", nil), claiming("51", map[netip.Addr]int64{one: 3, other: 3})}, map[netip.Addr]int64{one: 3, other: 3}},
	} {
		v := NewView()
		v.setInSight(test.inSight)
		v.SetAnnouncer("n1", claiming("100", map[netip.Addr]int64{one: 3, other: 3}))
		for _, state := range test.then {
			v.SetAnnouncer("n1", state)
		}
		got := map[netip.Addr]int64{}
		for _, ip := range []netip.Addr{one, other} {
			if claim, held := v.Claim(ip); held {
				got[ip] = claim.Epoch
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got epochs %v, want %v", test.name, got, test.want)
		}
	}
}
