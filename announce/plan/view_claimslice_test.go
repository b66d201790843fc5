package plan

import (
	"fmt"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// listing is an Announcer that lists claims of an epoch.
func listing(name, version string, revision, epoch int64, ips ...string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
	a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady}}
	a.Status.Layer2.Revision = revision
	for _, ip := range ips {
		a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses, v1alpha1.Layer2Address{IP: ip, Epoch: epoch, Interfaces: []string{"eth0"}})
	}
	return a
}

// sliceOf is a ClaimSlice with claims of an epoch.
func sliceOf(announcer, version string, revision int64, number int32, epoch int64, ips ...string) *v1alpha1.ClaimSlice {
	return &v1alpha1.ClaimSlice{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", announcer, number), ResourceVersion: version},
		Announcer:  announcer, Revision: revision, Number: number,
		Addresses: listing(announcer, version, revision, epoch, ips...).Status.Layer2.Addresses,
	}
}

func setSlice(v *View, s *v1alpha1.ClaimSlice) { v.SetClaimSlice(s.Name, s) }

func TestClaimSlicesSayWhatHasChangedOfAList(t *testing.T) {
	const one, two = "192.0.2.1", "192.0.2.2"
	released := func(s *v1alpha1.ClaimSlice, ip string) *v1alpha1.ClaimSlice {
		s.Released = append(s.Released, ip)
		return s
	}
	for _, test := range []struct {
		name string
		do   func(v *View)
		// want are the epochs of both addresses; 0 for no claim.
		want [2]int64
	}{
		{"what is in a slice of the list's revision goes before it", func(v *View) { setSlice(v, sliceOf("n1", "11", 5, 0, 3, two)) }, [2]int64{1, 3}},
		{"what is released there is claimed no more", func(v *View) { setSlice(v, released(sliceOf("n1", "11", 5, 0, 3), one)) }, [2]int64{0, 0}},
		{"of an earlier one it does not count", func(v *View) { setSlice(v, sliceOf("n1", "11", 4, 0, 3, two)) }, [2]int64{1, 0}},
		{"the highest number goes before others", func(v *View) {
			setSlice(v, sliceOf("n1", "12", 5, 1, 4, one))
			setSlice(v, sliceOf("n1", "13", 5, 0, 3, one, two))
		}, [2]int64{4, 3}},
		{"a later revision is on top of what was known", func(v *View) {
			setSlice(v, sliceOf("n1", "11", 5, 1, 3, two))
			setSlice(v, sliceOf("n1", "13", 6, 0, 4, one))
		}, [2]int64{4, 3}},
		{"and of the list when that comes", func(v *View) {
			setSlice(v, sliceOf("n1", "11", 5, 1, 3, two))
			setSlice(v, sliceOf("n1", "13", 6, 0, 4, one))
			v.SetAnnouncer("n1", listing("n1", "12", 6, 2, one))
		}, [2]int64{4, 0}},
		{"a list in between says nothing that is not known", func(v *View) {
			setSlice(v, sliceOf("n1", "13", 7, 0, 4, two))
			v.SetAnnouncer("n1", listing("n1", "12", 6, 2))
		}, [2]int64{1, 4}},
		{"a list of an older announcer is all there is", func(v *View) {
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, two))
			v.SetAnnouncer("n1", listing("n1", "12", 0, 2, one))
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, two))
		}, [2]int64{2, 0}},
		{"a slice that is gone says nothing", func(v *View) {
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, one, two))
			v.SetClaimSlice("n1-0", nil)
		}, [2]int64{1, 0}},
		{"an Announcer that is gone takes them with it", func(v *View) {
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, one, two))
			v.SetAnnouncer("n1", nil)
		}, [2]int64{0, 0}},
		{"they may come before it", func(v *View) {
			v.SetAnnouncer("n1", nil)
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, two))
			v.SetAnnouncer("n1", listing("n1", "10", 5, 1, one))
		}, [2]int64{1, 3}},
		{"slices of another Announcer of that name do not count", func(v *View) {
			s := sliceOf("n1", "11", 5, 0, 3, two)
			s.OwnerReferences = []metav1.OwnerReference{{Kind: "Announcer", UID: "another"}}
			setSlice(v, s)
		}, [2]int64{1, 0}},
		{"a restore takes nothing from a member in sight", func(v *View) {
			v.setInSight([]string{"n1"})
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, two))
			setSlice(v, sliceOf("n1", "12", 5, 0, 4, two))
			setSlice(v, sliceOf("n1", "11", 5, 0, 3, two))
		}, [2]int64{1, 4}},
		{"until it says something again", func(v *View) {
			v.setInSight([]string{"n1"})
			setSlice(v, sliceOf("n1", "12", 5, 0, 4, two))
			v.SetClaimSlice("n1-0", nil)
			setSlice(v, released(sliceOf("n1", "11", 5, 0, 3), two))
		}, [2]int64{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := NewView()
			v.SetAnnouncer("n1", listing("n1", "10", 5, 1, one))
			v.changes()
			test.do(v)
			for i, ip := range []string{one, two} {
				claim, claimed := v.Claim(netip.MustParseAddr(ip))
				if claim.Epoch != test.want[i] || claimed != (test.want[i] > 0) {
					t.Errorf("%s has epoch %d, %t, want %d", ip, claim.Epoch, claimed, test.want[i])
				}
			}
		})
	}
}

func TestAClaimSliceThatIsGoneTakesNoRoomOnceTheListHasWhatItSaid(t *testing.T) {
	v := NewView()
	v.setInSight([]string{"n1"})
	v.SetAnnouncer("n1", listing("n1", "10", 5, 1))
	setSlice(v, sliceOf("n1", "11", 5, 0, 1, "192.0.2.1"))
	v.SetClaimSlice("n1-0", nil)
	if _, claimed := v.Claim(netip.MustParseAddr("192.0.2.1")); !claimed {
		t.Error("what it said does not count")
	}
	v.SetAnnouncer("n1", listing("n1", "12", 6, 1, "192.0.2.1"))
	if len(v.records["n1"].slices) != 0 || len(v.sliceOf) != 0 {
		t.Errorf("it is kept: %v, %v", v.records["n1"].slices, v.sliceOf)
	}
}

// Of two claims of one epoch, all have to agree which was recorded first, though they hear of one by another watch than of the other.
func TestWhatWasRecordedFirstHoldsWhateverIsHeardFirst(t *testing.T) {
	const ip = "192.0.2.1"
	inList := func(v *View) { v.SetAnnouncer("n1", listing("n1", "20", 5, 2, ip)) }
	inSlice := func(v *View) { setSlice(v, sliceOf("n2", "19", 5, 0, 2, ip)) }
	for _, order := range [][]func(*View){{inList, inSlice}, {inSlice, inList}} {
		v := NewView()
		v.SetAnnouncer("n1", listing("n1", "10", 5, 1))
		v.SetAnnouncer("n2", listing("n2", "11", 5, 1))
		v.changes()
		for _, hear := range order {
			hear(v)
		}
		if claim, _ := v.Claim(netip.MustParseAddr(ip)); claim.Node != "n2" {
			t.Errorf("the claim of %q holds", claim.Node)
		}
	}
}

func TestAToldClaimIsShownByTheSliceThatItNames(t *testing.T) {
	v := NewView()
	v.SetAnnouncer("n1", listing("n1", "10", 5, 1))
	c := toldClaim{node: "n1", epoch: 2, recorded: true, slice: "n1-0", version: "20"}
	setSlice(v, sliceOf("n1", "15", 5, 0, 1, "192.0.2.1"))
	v.SetAnnouncer("n1", listing("n1", "30", 5, 1))
	if c.shown(v, netip.MustParseAddr("192.0.2.1")) {
		t.Error("a version of the Announcer shows what is in the slice")
	}
	setSlice(v, sliceOf("n1", "20", 5, 0, 2, "192.0.2.1"))
	if !c.shown(v, netip.MustParseAddr("192.0.2.1")) {
		t.Error("the slice does not show it")
	}
}
