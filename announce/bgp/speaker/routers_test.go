package speaker

import (
	"net/netip"
	"testing"
	"time"
)

func TestRoutersThatAdvertiseThemselvesAreTriedInTurn(t *testing.T) {
	a, b, c := netip.MustParseAddr("fe80::a%eth0"), netip.MustParseAddr("fe80::b%eth0"), netip.MustParseAddr("fe80::c%eth0")
	now := time.Now()
	var r routers
	is := func(when string, want netip.Addr) {
		t.Helper()
		if r.current != want {
			t.Errorf("%s: %s is tried, want %s", when, r.current, want)
		}
	}
	is("at first", netip.Addr{})
	if _, changed := r.add(b, now); !changed {
		t.Error("the first one is not tried")
	}
	if more := r.pass(b, now); more {
		t.Error("there is another one than the only one")
	}
	is("of one", b)
	if _, changed := r.add(a, now); changed {
		t.Error("another one is tried although nothing is wrong with the first")
	}
	r.add(c, now)
	is("when others come", b)
	for _, step := range []struct {
		pass, next netip.Addr
		more       bool
	}{{b, a, true}, {b, a, true}, {a, c, true}, {c, a, false}, {a, b, true}} {
		if more := r.pass(step.pass, now); more != step.more {
			t.Errorf("after %s: more is %v", step.pass, more)
		}
		is("after "+step.pass.String(), step.next)
	}
	later := now.Add(routerLifetime + time.Second)
	r.add(c, later)
	r.pass(b, later)
	is("when one is silent", c)
}

func TestAdvertisementsOfAnybodyTakeLimitedRoom(t *testing.T) {
	var r routers
	address := netip.MustParseAddr("fe80::1%eth0")
	for range 10 * maxRouters {
		r.add(address, time.Now())
		address = address.Next()
	}
	if len(r.heard) != maxRouters {
		t.Errorf("%d are remembered", len(r.heard))
	}
	if added, _ := r.add(netip.MustParseAddr("fe80::ffff%eth0"), time.Now()); added {
		t.Error("one is dropped that was not tried")
	}
	r.pass(r.current, time.Now())
	if added, _ := r.add(netip.MustParseAddr("fe80::ffff%eth0"), time.Now()); !added || len(r.heard) != maxRouters {
		t.Errorf("those who fill all places keep the router out: %d are remembered", len(r.heard))
	}
}
