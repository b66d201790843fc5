package announce

import (
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// relayKernel is what a kernel relays, since before the announcer was started.
type relayKernel struct {
	relays map[netip.Addr]layer2.Relay
	broken error
	// restored counts how often it was to be made sure that nobody has removed anything.
	restored int
}

func (k *relayKernel) Restore() error {
	k.restored++
	return k.broken
}

func (k *relayKernel) Set(relays map[netip.Addr]layer2.Relay) error {
	if k.broken == nil {
		k.relays = maps.Clone(relays)
	}
	return k.broken
}

// relaysOnly says whether the kernel relays these and nothing else.
func (k *relayKernel) relaysOnly(relays map[netip.Addr]plan.Relay) bool {
	return maps.EqualFunc(k.relays, relays, func(is layer2.Relay, wanted plan.Relay) bool { return is == layer2.Relay(wanted) })
}

func TestRelayingBeginsAtOnceAndEndsInAWhile(t *testing.T) {
	now := time.Unix(1000, 0)
	one, other := plan.Relay{To: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}, plan.Relay{To: netip.MustParseAddr("192.168.10.12"), Interface: "eth0"}
	kernel := &relayKernel{relays: map[netip.Addr]layer2.Relay{netip.MustParseAddr("192.168.10.1"): layer2.Relay(one)}}
	r := &relays{kernel: kernel, logger: klog.Background()}
	relays := func(last string) map[netip.Addr]plan.Relay {
		all := map[netip.Addr]plan.Relay{}
		for i, c := range last {
			if c != '-' {
				all[netip.AddrFrom4([4]byte{192, 168, 10, byte(i + 1)})] = map[rune]plan.Relay{'a': one, 'b': other}[c]
			}
		}
		return all
	}
	for _, step := range []struct {
		after                      time.Duration
		wanted, prepared, finished string
		wake                       time.Duration
	}{
		{0, "---", "a--", "---", 0}, // what was there ends at the start
		{0, "a--", "a--", "a--", 0},
		{0, "-a-", "aa-", "aa-", relayLinger},
		{relayLinger / 2, "-a-", "aa-", "aa-", relayLinger / 2},
		{0, "aa-", "aa-", "aa-", 0}, // it is needed again
		{relayLinger, "-b-", "ab-", "ab-", relayLinger},
		{relayLinger, "-b-", "ab-", "-b-", 0},
		{0, "---", "-b-", "-b-", relayLinger},
		{relayLinger, "---", "-b-", "---", 0},
	} {
		now = now.Add(step.after)
		r.prepare(relays(step.wanted))
		if !kernel.relaysOnly(relays(step.prepared)) {
			t.Errorf("%+v: prepared %v", step, kernel.relays)
		}
		wake := r.finish(relays(step.wanted), now)
		if !kernel.relaysOnly(relays(step.finished)) {
			t.Errorf("%+v: in the end %v", step, kernel.relays)
		}
		if wake.IsZero() != (step.wake == 0) || step.wake != 0 && !wake.Equal(now.Add(step.wake)) {
			t.Errorf("%+v: wakes at %v, now is %v", step, wake, now)
		}
	}
}

func TestWhatIsRelayedIsPutBackIfSomebodyHasRemovedIt(t *testing.T) {
	now, kernel := time.Unix(1000, 0), &relayKernel{}
	r := &relays{kernel: kernel, logger: klog.Background()}
	all := map[netip.Addr]plan.Relay{netip.MustParseAddr("192.168.10.1"): {To: netip.MustParseAddr("192.168.10.11"), Interface: "eth0"}}
	for _, step := range []struct {
		after    time.Duration
		relays   map[netip.Addr]plan.Relay
		restored int
	}{
		{0, nil, 0},
		{relayCheck, nil, 0}, // nothing is relayed
		{0, all, 0},
		{relayCheck, all, 1},
		{relayCheck / 2, all, 1},
		{relayCheck / 2, all, 2},
	} {
		now = now.Add(step.after)
		r.prepare(step.relays)
		r.finish(step.relays, now)
		if kernel.restored != step.restored {
			t.Errorf("%+v: restored %d times", step, kernel.restored)
		}
	}
}

func TestTheAnnouncerSaysThatTheKernelCannotRelay(t *testing.T) {
	kernel := &relayKernel{broken: errors.New("operation not permitted")}
	r := &relays{kernel: kernel, logger: klog.Background()}
	r.finish(nil, time.Now())
	if got := "All is well." + r.sentence(); !strings.HasPrefix(got, "All is well. Connections") || !strings.HasSuffix(got, "operation not permitted.") {
		t.Errorf("it says %q", got)
	}
	kernel.broken = nil
	r.prepare(map[netip.Addr]plan.Relay{netip.MustParseAddr("192.168.10.1"): {Interface: "eth0"}})
	if got := "All is well." + r.sentence(); got != "All is well." {
		t.Errorf("it says %q", got)
	}
}
