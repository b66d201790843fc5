package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2/ktesting"
)

func TestARejectedSenderIsLoggedOnceHoweverOftenItSends(t *testing.T) {
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	c := New(Config{Name: "a", Address: local(1), Logger: logger})
	lines := []string{
		"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=127.0.0.2:7947\n",
		"[ERR] memberlist: Decrypt packet failed: payload is too small to decrypt: 21 from=127.0.0.2:7947\n",
		"[ERR] memberlist: failed to receive: no installed keys could decrypt the message from=127.0.0.2:40000\n",
		"[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=127.0.0.2:40001\n",
		"[ERR] memberlist: failed to receive: no installed keys could decrypt the message from=[::1]:40000\n",
		"[ERR] memberlist: failed to receive: read tcp 127.0.0.1:7947->127.0.0.3:40000: i/o timeout from=127.0.0.3:40000\n",
		"[INFO] memberlist: Suspect b has failed, no acks received\n",
	}
	for range 100 {
		for _, line := range lines {
			if n, err := (logWriter{c}).Write([]byte(line)); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
		}
	}
	want := []netip.Addr{local(2), netip.IPv6Loopback()}
	if got := c.RejectedSenders(); !slices.Equal(got, want) {
		t.Errorf("rejected senders %v, want %v", got, want)
	}
	buffer := logger.GetSink().(ktesting.Underlier).GetBuffer().String()
	if count := strings.Count(buffer, "Gossip arrives"); count != len(want) {
		t.Errorf("logged %d times:\n%s", count, buffer)
	}
}

func TestARejectedSenderIsForgottenAfterAMinuteOfSilence(t *testing.T) {
	var s rejectedSenders
	now := time.Now()
	if !s.add(local(2), now) || s.add(local(2), now.Add(rejectedFor-1)) {
		t.Error("a sender is new the first time, and not while it goes on")
	}
	if got := s.list(now.Add(2*rejectedFor - 2)); len(got) != 1 {
		t.Errorf("%v before the minute is over", got)
	}
	if got := s.list(now.Add(2*rejectedFor - 1)); len(got) != 0 {
		t.Errorf("%v after it", got)
	}
	if !s.add(local(2), now.Add(2*rejectedFor)) {
		t.Error("not new when it comes back")
	}
}

func TestNoMoreRejectedSendersAreRememberedThanFit(t *testing.T) {
	var s rejectedSenders
	now := time.Now()
	for n := range 2 * maxRejected {
		s.add(local(n), now)
	}
	if got := s.list(now); len(got) != maxRejected {
		t.Errorf("%d rejected senders", len(got))
	}
	s.add(local(0), now.Add(1))
	if got := s.list(now.Add(rejectedFor)); fmt.Sprint(got) != fmt.Sprint([]netip.Addr{local(0)}) {
		t.Errorf("%v are left", got)
	}
}
