package plan

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestContradictionsAreSaidOfTheYounger(t *testing.T) {
	r := newRack()
	r.advertise("b-first", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(1))})
	r.advertise("a-second", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(2))})
	r.advertise("elsewhere", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(3)), Peers: []string{"other"}})
	r.advertise("wider", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(4)), AggregationLength: new(int32(24))})
	r.plan()
	got := r.planner.Contradictions()
	want := map[string]Contradiction{"a-second": {netip.MustParsePrefix("192.168.10.1/32"), "localPref", "b-first"}}
	if !maps.Equal(got, want) {
		t.Errorf("contradictions %v, want %v", got, want)
	}
	const sentence = "192.168.10.1/32 is announced with the localPref of BGPAdvertisement b-first, which is older"
	if got := got["a-second"].Sentence(); got != sentence {
		t.Errorf("got %q, want %q", got, sentence)
	}
}
