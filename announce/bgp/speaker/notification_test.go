package speaker

import (
	"testing"

	"github.com/clarionlb/clarion/announce/bgp"
)

func TestNotificationsHaveNames(t *testing.T) {
	for _, test := range []struct {
		code, subcode uint8
		want          string
	}{
		{4, 0, "Hold Timer Expired"},
		{2, 2, "OPEN Message Error/Bad Peer AS"},
		{6, 10, "Cease/BFD Down"},
		{3, 1, "UPDATE Message Error/1"},
		{99, 0, "99"},
		{99, 98, "99/98"},
	} {
		if got := notificationName(test.code, test.subcode); got != test.want {
			t.Errorf("%d/%d is named %q, want %q", test.code, test.subcode, got, test.want)
		}
	}
}

func TestAProblemIsTheSameWheneverItHappens(t *testing.T) {
	for said, want := range map[string]string{
		"": "",
		"no connection: dial tcp 10.0.0.2:40123->10.0.0.1:179: connect: connection refused":           "no connection",
		`the router closed the session: Cease/Administrative Shutdown, "back at 12:30, or: at 13:00"`: "the router closed the session: Cease/Administrative Shutdown",
		"sent to the router: OPEN Message Error/Bad Peer AS":                                          "sent to the router: OPEN Message Error/Bad Peer AS",
		"BFD heard nothing from the router for 312ms":                                                 "BFD heard nothing from the router",
		"the router sent more routes than it may":                                                     "the router sent more routes than it may",
	} {
		if got := (bgp.PeerStatus{Error: said}).Problem(); got != want {
			t.Errorf("%q is the problem %q, want %q", said, got, want)
		}
	}
}
