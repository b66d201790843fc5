package membership

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"k8s.io/klog/v2/ktesting"
)

// loopback is up once it is called. It always is but in the namespace that root has the tests run in.
func loopback(t testing.TB) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	if lo.Attrs().Flags&net.FlagUp == 0 {
		must(t, netlink.LinkSetUp(lo))
	}
}

// local is the address of the n-th member in the tests that need no LAN.
func local(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(n)}) }

// start runs a member on this machine until the test ends or what it returns is called.
func start(t *testing.T, name string, address netip.Addr) (*Cluster, func()) {
	t.Helper()
	return startWithKey(t, name, address, testKey(1))
}

func startWithKey(t *testing.T, name string, address netip.Addr, key []byte) (*Cluster, func()) {
	t.Helper()
	logger, ctx := ktesting.NewTestContext(t)
	ctx, cancel := context.WithCancel(ctx)
	c := New(Config{Name: name, Address: address, Key: key, Logger: logger})
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return c, stop
}

// awaitAlive waits until the member sees exactly these names.
func awaitAlive(t *testing.T, c *Cluster, names ...string) {
	t.Helper()
	timeout := time.After(patience)
	for !slices.Equal(c.Alive(), names) {
		select {
		case <-c.Changed():
		case <-timeout:
			t.Fatalf("%s sees %v, want %v", c.config.Name, c.Alive(), names)
		}
	}
}

func awaitJoined(t *testing.T, c *Cluster) {
	t.Helper()
	select {
	case <-c.Joined():
	case <-time.After(patience):
		t.Fatalf("%s never joined", c.config.Name)
	}
}

func TestMembersFindEachOtherAndNoticeWhoLeaves(t *testing.T) {
	loopback(t)
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	peers := map[string]netip.Addr{"a": local(1), "b": local(2), "c": local(3)}
	var members []*Cluster
	var stop func()
	for _, name := range []string{"a", "b", "c"} {
		var c *Cluster
		c, stop = start(t, name, peers[name])
		members = append(members, c)
		c.SetPeers(peers)
	}
	for _, c := range members {
		awaitAlive(t, c, "a", "b", "c")
		awaitJoined(t, c)
	}
	stop()
	for _, c := range members[:2] {
		awaitAlive(t, c, "a", "b")
	}
}

func TestMemberWasSeenWhenItAnsweredLast(t *testing.T) {
	loopback(t)
	a, _ := start(t, "a", local(1))
	if seen := a.LastSeen("b"); !seen.IsZero() {
		t.Errorf("b was seen at %v before it ran", seen)
	}
	b, stop := start(t, "b", local(2))
	a.SetPeers(map[string]netip.Addr{"b": local(2)})
	awaitAlive(t, a, "a", "b")
	first := a.LastSeen("b")
	poll(t, "answer of b", func() bool { return a.LastSeen("b").After(first) })
	if b.Left("a") || a.Left("b") || a.Left("nobody") {
		t.Error("a member has left that is alive or unknown")
	}
	stop()
	awaitAlive(t, a, "a")
	poll(t, "news that b left", func() bool { return a.Left("b") })
	a.SetPeers(nil)
	if a.Left("b") || !a.LastSeen("b").IsZero() {
		t.Error("b is not forgotten")
	}
}

func TestBroadcastsReachAllOthersHoweverLongTheyAre(t *testing.T) {
	loopback(t)
	peers := map[string]netip.Addr{"a": local(1), "b": local(2), "c": local(3)}
	var members []*Cluster
	for _, name := range []string{"a", "b", "c"} {
		c, _ := start(t, name, peers[name])
		members = append(members, c)
		c.SetPeers(peers)
	}
	for _, c := range members {
		awaitAlive(t, c, "a", "b", "c")
	}
	for _, size := range []int{0, 1, maxPacket, 100_000} {
		text := bytes.Repeat([]byte("x"), size)
		members[0].Broadcast(text)
		for _, c := range members[1:] {
			var messages []Message
			poll(t, fmt.Sprintf("%d bytes", size), func() bool {
				messages = append(messages, c.Messages()...)
				return len(messages) > 0
			})
			if len(messages) != 1 || messages[0].From != "a" || !bytes.Equal(messages[0].Text, text) {
				t.Errorf("%s: %d messages, the first from %q of %d bytes, want one from a of %d", c.config.Name, len(messages), messages[0].From, len(messages[0].Text), size)
			}
		}
	}
	if own := members[0].Messages(); len(own) > 0 {
		t.Errorf("a has got %d messages from itself", len(own))
	}
}

func TestMalformedMessagesAreIgnored(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1)})
	for _, message := range [][]byte{nil, {}, {0}, {kindLeave}, {kindLeave, 1, 2}, {kindUser}, {kindUser, 3, 'a', 'b'}, {99, 1, 'a'}} {
		delegate{c}.NotifyMsg(message)
	}
	if messages := c.Messages(); len(messages) > 0 {
		t.Errorf("got %v", messages)
	}
	c.Broadcast([]byte("nobody is there")) // it does not run
}

func TestMemberIsAloneUntilItRuns(t *testing.T) {
	c := New(Config{Name: "a", Address: local(1)})
	if got := c.Alive(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("Alive: %v", got)
	}
}

func TestJoinedWaitsForThePeersToBeKnownAndTried(t *testing.T) {
	loopback(t)
	c, _ := start(t, "a", local(1))
	other, _ := start(t, "b", local(2))
	other.SetPeers(map[string]netip.Addr{"a": local(1)})
	awaitAlive(t, c, "a", "b")
	select {
	case <-c.Joined():
		t.Fatal("joined before it knew its peers")
	default:
	}
	c.SetPeers(map[string]netip.Addr{"a": local(1), "b": local(2), "nobody": local(9)})
	awaitJoined(t, c)
}

func TestLoneMemberHasJoinedAsSoonAsItKnowsThatItIsAlone(t *testing.T) {
	loopback(t)
	c, _ := start(t, "a", local(1))
	c.SetPeers(map[string]netip.Addr{"a": local(1)})
	awaitJoined(t, c)
}

func TestPeerThatStartsLateIsFound(t *testing.T) {
	loopback(t)
	a, _ := start(t, "a", local(1))
	a.SetPeers(map[string]netip.Addr{"b": local(2)})
	awaitJoined(t, a)
	b, _ := start(t, "b", local(2)) // which looks for nobody itself
	awaitAlive(t, a, "a", "b")
	awaitAlive(t, b, "a", "b")
}

func TestMemberThatReturnsIsAcceptedAtTheSameAndAtAnotherAddress(t *testing.T) {
	loopback(t)
	a, _ := start(t, "a", local(1))
	for n, address := range []netip.Addr{local(2), local(2), local(3)} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a.SetPeers(map[string]netip.Addr{"b": address})
			b, stop := start(t, "b", address)
			b.SetPeers(map[string]netip.Addr{"a": local(1)})
			awaitAlive(t, b, "a", "b")
			awaitAlive(t, a, "a", "b")
			stop()
			awaitAlive(t, a, "a")
		})
	}
}

func TestAddressThatCannotBeListenedOnIsAnError(t *testing.T) {
	loopback(t)
	c := New(Config{Name: "a", Address: netip.MustParseAddr("192.0.2.1"), Key: testKey(1)})
	if err := c.Run(t.Context()); err == nil {
		t.Error("Run returned nil")
	}
}
