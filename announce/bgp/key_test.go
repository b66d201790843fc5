package bgp

import (
	"net/netip"
	"slices"
	"testing"
)

func TestSessionsAreOrderedByPeerAndGateway(t *testing.T) {
	keys := []SessionKey{
		{Peer: "tor", Gateway: netip.MustParseAddr("192.0.2.10")},
		{Peer: "tor", Gateway: netip.MustParseAddr("192.0.2.9")},
		{Peer: "tor-2"},
		{Peer: "leaf", Gateway: netip.MustParseAddr("fe80::1%eth0")},
		{Peer: "tor"},
	}
	slices.SortFunc(keys, SessionKey.Compare)
	var got []string
	for _, key := range keys {
		got = append(got, key.String())
	}
	if want := []string{"leaf@fe80::1%eth0", "tor", "tor@192.0.2.9", "tor@192.0.2.10", "tor-2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
