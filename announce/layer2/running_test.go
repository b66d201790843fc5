package layer2

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// follow runs a Links until the test ends.
func follow(t *testing.T) *Links {
	t.Helper()
	l := NewLinks()
	run(t, l.Run)
	select {
	case <-l.Ready():
	case <-time.After(patience):
		t.Fatal("the links never got ready")
	}
	return l
}

// run runs some functions until the test ends, and fails the test if one returns an error or if
// they leave a goroutine.
func run(t testing.TB, all ...func(context.Context) error) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range all {
		group.Go(func() error { return f(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Errorf("run: %v", err)
		}
		goleak.VerifyNone(t, before)
	})
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// await waits until the interface of that name is as wanted.
func await(t *testing.T, l *Links, name, want string, is func(Interface, bool) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		i, ok := find(l, name)
		if is(i, ok) {
			return
		}
		select {
		case <-l.Changed():
		case <-timeout:
			t.Fatalf("interface %s: want %s, have %+v (known: %v)", name, want, i, ok)
		}
	}
}

func find(l *Links, name string) (Interface, bool) {
	all := l.Interfaces()
	i := slices.IndexFunc(all, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		return Interface{}, false
	}
	return all[i], true
}

// respond runs a Responder on the node's interfaces until the test ends.
func respond(t *testing.T) *Responder {
	t.Helper()
	r := NewResponder(follow(t))
	run(t, r.Run)
	return r
}

// silent waits until the responder serves no interface.
func silent(t *testing.T, r *Responder) {
	t.Helper()
	timeout, again := time.After(patience), time.Tick(10*time.Millisecond)
	for {
		r.mu.Lock()
		n := len(r.running)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-again:
		case <-timeout:
			t.Fatalf("the responder still serves %d interfaces", n)
		}
	}
}

// inquire runs a Prober on the node's interfaces until the test ends.
func inquire(t *testing.T, links *Links) *Prober {
	t.Helper()
	p := NewProber(links)
	run(t, p.Run)
	return p
}

// asking asks in the background. It returns a function that waits for the answer.
func asking(t *testing.T, p *Prober, q Question) func() (Answer, bool) {
	t.Helper()
	type result struct {
		answer Answer
		ok     bool
		err    error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	go func() {
		defer cancel()
		a, ok, err := p.Ask(ctx, q)
		done <- result{a, ok, err}
	}()
	return func() (Answer, bool) {
		t.Helper()
		r := <-done
		if r.err != nil {
			t.Errorf("ask: %v", r.err)
		}
		return r.answer, r.ok
	}
}

// patiently has a question asked until there is an answer.
func patiently(q Question) Question {
	q.Tries, q.Interval = int(patience/(100*time.Millisecond)), 100*time.Millisecond
	return q
}

// families are the addresses that the tests of both families use: one that the other host's kernel
// has, one that nobody has, and one for the node.
var families = map[string]struct{ has, free, own netip.Addr }{
	"IPv4": {netip.MustParseAddr("192.0.2.1"), vip1, netip.MustParseAddr("192.0.2.7")},
	"IPv6": {netip.MustParseAddr("2001:db8::1"), vip61, netip.MustParseAddr("2001:db8::7")},
}

// settle gives the node's interface an address and waits until links know it.
func settle(t *testing.T, links *Links, name string, addr netip.Addr) {
	t.Helper()
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	must(t, netlink.AddrAdd(link(t, name), &netlink.Addr{
		IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(bits, addr.BitLen())}, Flags: unix.IFA_F_NODAD,
	}))
	await(t, links, name, "its address, and up", func(i Interface, _ bool) bool {
		return i.Up && slices.Contains(i.Addresses, addr)
	})
}
