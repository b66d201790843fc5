package membership

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// TestWhoIsHeardIsJoinedSoon has a member taken for dead, which was suspended say, and tries to join it become rare.
func TestWhoIsHeardIsJoinedSoon(t *testing.T) {
	message := append([]byte{kindUser, 1}, "bsomething"...)
	for _, tt := range []struct {
		name     string
		alive    bool
		messages [][]byte
		want     int64 // more tries within a second
	}{
		{"one that is dead", false, [][]byte{message}, 1},
		{"one that says much", false, slices.Repeat([][]byte{message}, 100), 1},
		{"one that is alive", true, [][]byte{message}, 0},
		{"one that is no peer", false, [][]byte{append([]byte{kindUser, 1}, "xsomething"...)}, 0},
		{"what is no message", false, [][]byte{{kindUser, 9, 'b'}, {}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Config{Name: "a", Address: local(1), Key: testKey(1)})
				c.members["b"] = &member{address: local(2), alive: tt.alive}
				c.SetPeers(map[string]netip.Addr{"b": local(2)})
				ctx, stop := context.WithCancel(t.Context())
				var tries atomic.Int64
				done := make(chan struct{})
				go func() {
					defer close(done)
					c.joinPeers(ctx, func(string, netip.Addr) error {
						tries.Add(1)
						return errors.New("connection refused")
					})
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				for n := tries.Load(); !tt.alive && tries.Load() == n; synctest.Wait() {
					time.Sleep(time.Millisecond) // until just after a try
				}
				time.Sleep(firstRetry)
				synctest.Wait()
				before := tries.Load()
				for _, m := range tt.messages {
					delegate{c}.NotifyMsg(m)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := tries.Load() - before; got != tt.want {
					t.Errorf("%d tries, want %d", got, tt.want)
				}
				stop()
				<-done
			})
		})
	}
}
