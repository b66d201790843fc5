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
	for _, text := range []string{"65536:1", "1:2:3", "large:1:2", "a:b", "", ":", "cheap"} {
		if got, err := parseCommunity(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAnAdvertisementWithAnUnknownCommunityIsRefused(t *testing.T) {
	r := newRack()
	r.advertise("unknown", v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap", "1:2:3"}})
	r.advertise("malformed", v1alpha1.BGPAdvertisementSpec{Communities: []string{"65536:1"}})
	r.advertise("good", v1alpha1.BGPAdvertisementSpec{Communities: []string{"large:1:1:2", "large:1:1:1", "65000:1"}})
	plan := r.plan()
	for name, want := range map[string]string{
		"unknown":   `no Community defines "cheap", nor is that a well-known one; community "1:2:3" is neither of the form "65000:1" nor "large:65000:1:2"`,
		"malformed": `community "65536:1": "65536" is not a number of 16 bits`,
	} {
		if got := r.view.BGPAdvertisement(name); got.Problem == nil || got.Problem.Error() != want || got.Used {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	want := []bgp.LargeCommunity{{Global: 1, Local1: 1, Local2: 1}, {Global: 1, Local1: 1, Local2: 2}}
	if got := plan.Routes[bgp.SessionKey{Peer: "tor"}][0].Attributes.LargeCommunities; !slices.Equal(got, want) {
		t.Errorf("%v is announced, want %v", got, want)
	}
}

func TestWellKnownCommunitiesHaveNames(t *testing.T) {
	r := newRack()
	r.community("names", "internal", "no-export")
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"internal", "blackhole", "graceful-shutdown", "local-as", "no-peer"}})
	announces := func(want string) {
		t.Helper()
		if got := attributesText(r.plan().Routes[bgp.SessionKey{Peer: "tor"}][0].Attributes); got != want {
			t.Errorf("announced with%s, want%s", got, want)
		}
	}
	announces(" 65535:0 65535:666 65535:65281 65535:65283 65535:65284")
	// What a Community says goes first.
	r.community("own", "blackhole", "65001:666")
	announces(" 65001:666 65535:0 65535:65281 65535:65283 65535:65284")
	if applied := r.view.BGPAdvertisement("all").LastGood.Communities; !slices.Equal(applied, []string{"65535:65281", "65001:666", "graceful-shutdown", "local-as", "no-peer"}) {
		t.Errorf("to be recorded: %q", applied)
	}
	r.community("own", "blackhole", "no-exprt")
	want := `spec.communities[0]: community "no-exprt" is neither of the form "65000:1" nor "large:65000:1:2"`
	r.plan()
	if got := r.view.Community("own").Problem; got == nil || got.Error() != want {
		t.Errorf("got %v, want %s", got, want)
	}
	announces(" 65001:666 65535:0 65535:65281 65535:65283 65535:65284")
}
