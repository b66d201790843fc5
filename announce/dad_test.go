package announce

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/clarionlb/clarion/announce/layer2"
)

// asked is a prober that takes note of questions, and answers as it is told.
type asked struct {
	idle
	mu        sync.Mutex
	questions []layer2.Question
	answer    func(q layer2.Question) (layer2.Answer, bool, error)
}

func (a *asked) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	a.mu.Lock()
	a.questions = append(a.questions, q)
	a.mu.Unlock()
	if ctx.Err() != nil {
		return layer2.Answer{}, false, ctx.Err()
	}
	answer, answered, err := a.answer(q)
	return answer, answered && (q.Accept == nil || q.Accept(answer)), err
}

// withLinks has a node the interfaces of a test.
type withLinks struct {
	hollowHost
	interfaces []layer2.Interface
}

func (w withLinks) Interfaces() []layer2.Interface { return w.interfaces }

var twoLinks = withLinks{interfaces: []layer2.Interface{
	{Name: "eth0", Addresses: []netip.Addr{addr("fd00::1"), addr("192.168.10.1")}, Gateways: []netip.Addr{addr("192.168.10.254")}},
	{Name: "eth1", Addresses: []netip.Addr{addr("10.0.0.1"), addr("fd01::1")}},
}}

func TestTheAddressOfTheNodeByWhichAHostIsTested(t *testing.T) {
	d := newDAD(nil, twoLinks, quiet)
	for _, tt := range []struct {
		ifi  string
		ipv4 bool
		want string
	}{
		{"eth0", true, "192.168.10.1"},
		{"eth0", false, "fd00::1"},
		{"eth1", true, "10.0.0.1"},
		{"eth1", false, "fd01::1"},
		{"eth2", true, "invalid IP"},
	} {
		if got := d.ownAddress(tt.ifi, tt.ipv4); got.String() != tt.want {
			t.Errorf("of %s, IPv4 %t: %s, want %s", tt.ifi, tt.ipv4, got, tt.want)
		}
	}
}

// A host has time to answer, and whoever waits does not wait for long.
func TestHowLongAHostHasToAnswer(t *testing.T) {
	host := net.HardwareAddr{2, 0, 0, 0, 0, 99}
	prober := &asked{answer: func(q layer2.Question) (layer2.Answer, bool, error) {
		return layer2.Answer{MAC: host, Source: host}, q.Address == addr(vip), nil
	}}
	d := newDAD(prober, twoLinks, quiet)
	d.ask(t.Context(), addr(vip), []string{"eth0"}, nodes{silent: map[string][]netip.Addr{"n9": {addr("192.168.10.9"), addr("fd00::9")}}})
	gateway := newLAN(lanParts{links: twoLinks, prober: prober}, quiet)
	gateway.seesGateway(t.Context())
	addresses := map[netip.Addr]bool{}
	for _, q := range prober.questions {
		addresses[q.Address] = true
		if long := time.Duration(q.Tries) * q.Interval; long < 90*time.Millisecond || long > 500*time.Millisecond {
			t.Errorf("%s is asked for during %s", q.Address, long)
		}
	}
	for _, want := range []string{vip, "192.168.10.1", "192.168.10.9", "192.168.10.254"} {
		if !addresses[addr(want)] {
			t.Errorf("%s is not asked for", want)
		}
	}
	if addresses[addr("fd00::9")] {
		t.Error("an address of the other family is asked for")
	}
}

func TestAProbeThatCannotBeMadeIsLoggedUnlessItWasEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		ended bool
		want  bool
	}{
		"it cannot be made":    {errors.New("no such interface"), false, true},
		"it was ended":         {context.Canceled, true, false},
		"nothing has happened": {nil, false, false},
	} {
		var logged []string
		prober := &asked{answer: func(layer2.Question) (layer2.Answer, bool, error) { return layer2.Answer{}, false, tt.err }}
		d := newDAD(prober, twoLinks, funcr.New(func(_, line string) { logged = append(logged, line) }, funcr.Options{}))
		ctx, cancel := context.WithCancel(t.Context())
		if tt.ended {
			cancel()
		}
		d.ask(ctx, addr(vip), []string{"eth0"}, nodes{})
		cancel()
		if got := len(logged) > 0 && strings.Contains(logged[0], "Cannot find out"); got != tt.want {
			t.Errorf("%s: logged %q", name, logged)
		}
	}
}

func TestAnAddressIsProbedAgainOnceTheResultIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := &asked{answer: func(layer2.Question) (layer2.Answer, bool, error) { return layer2.Answer{}, false, nil }}
		d := newDAD(prober, twoLinks, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		for probes := 1; probes <= 2; probes++ {
			for range 2 { // it is asked for until the result is taken
				d.probe(ctx, map[netip.Addr][]string{addr(vip): {"eth0"}}, nodes{})
				synctest.Wait()
			}
			if got := len(prober.questions); got != probes {
				t.Errorf("%d questions, want %d", got, probes)
			}
			d.finished(<-d.results)
		}
		d.finished(probeResult{address: addr("192.168.10.1")}) // of one that is not probed any more
		cancel()
		d.wait()
	})
}
