package membership

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestPeerThatAnswersWithAnotherKeyIsWaitedForUntilKeysHaveRotated(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1), Key: testKey(1)})
	c.keys.promoteAfter = time.Hour
	c.SetPeers(map[string]netip.Addr{"b": local(2)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	attempts := 0
	go func() {
		defer close(done)
		c.joinPeers(ctx, func(string, netip.Addr) error {
			select {
			case <-c.Joined():
				t.Error("joined without one that is there")
			default:
			}
			if attempts++; attempts < 3 {
				return errors.New("no installed keys could decrypt the message")
			}
			return errors.New("connection refused")
		})
	}()
	awaitJoined(t, c)
	stop()
	<-done
	if attempts < 3 {
		t.Errorf("joined after %d attempts", attempts)
	}
	if got := c.RejectedSenders(); len(got) != 1 || got[0] != local(2) {
		t.Errorf("rejected senders %v", got)
	}
}

func TestPeerWhoseKeyStaysAnotherIsNotWaitedForForEver(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1), Key: testKey(1)})
	c.keys.promoteAfter = 0
	c.SetPeers(map[string]netip.Addr{"b": local(2)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.joinPeers(ctx, func(string, netip.Addr) error { return errors.New("no installed keys could decrypt the message") })
	}()
	awaitJoined(t, c)
	stop()
	<-done
}
