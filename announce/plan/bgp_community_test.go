package plan

import (
	"slices"
	"testing"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestHowCommunitiesAreWritten(t *testing.T) {
	for text, want := range map[string]community{
		"65000:1":         {regular: 65000<<16 | 1},
		"large:65000:1:2": {isLarge: true, large: bgp.LargeCommunity{Global: 65000, Local1: 1, Local2: 2}},
	} {
		if got, err := parseCommunity(text); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"65536:1", "1:2:3", "large:1:2", "a:b", "", ":"} {
		if got, err := parseCommunity(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAnAdvertisementWithAnUnknownCommunityIsRefused(t *testing.T) {
	r := newRack()
	r.advertise("unknown", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}})
	r.advertise("malformed", v1alpha1.BGPAdvertisementSpec{Communities: []string{"65536:1"}})
	r.advertise("good", v1alpha1.BGPAdvertisementSpec{Communities: []string{"large:1:1:2", "large:1:1:1", "65000:1"}})
	plan := r.plan()
	refused := r.planner.RefusedAdvertisements()
	if got, want := refused["unknown"], `no Community defines "cheap"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := refused["malformed"], `community "65536:1": "65536" is not a number of 16 bits`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []bgp.LargeCommunity{{Global: 1, Local1: 1, Local2: 1}, {Global: 1, Local1: 1, Local2: 2}}
	if got := plan.Routes[bgp.SessionKey{Peer: "tor"}][0].Attributes.LargeCommunities; len(refused) != 2 || !slices.Equal(got, want) {
		t.Errorf("refused %v, and %v is announced, want %v", refused, got, want)
	}
}
