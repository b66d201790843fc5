package reject

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// fakeKernel has one table, which lives as long as the real one.
type fakeKernel struct {
	prefixes map[netip.Prefix]struct{}
	there    bool
	broken   error
	// rewrites and changes count what was asked of it.
	rewrites, changes int
}

func (k *fakeKernel) rewrite(prefixes map[netip.Prefix]struct{}) error {
	k.rewrites++
	if k.broken != nil {
		return k.broken
	}
	k.prefixes, k.there = maps.Clone(prefixes), len(prefixes) > 0
	return nil
}

func (k *fakeKernel) change(gone, added []netip.Prefix) error {
	k.changes++
	if k.broken != nil || !k.there {
		return errors.Join(k.broken, errors.New("no such table"))
	}
	for _, p := range gone {
		delete(k.prefixes, p)
	}
	for _, p := range added {
		k.prefixes[p] = struct{}{}
	}
	return nil
}

// prefixes are written as the last bytes of their addresses.
func prefixes(last string) map[netip.Prefix]struct{} {
	set := map[netip.Prefix]struct{}{}
	for _, c := range last {
		set[netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(c)}), 32)] = struct{}{}
	}
	return set
}

func (k *fakeKernel) String() string {
	var last []byte
	for p := range k.prefixes {
		last = append(last, p.Addr().As4()[3])
	}
	slices.Sort(last)
	return string(last)
}

func TestWhatIsAnnouncedIsRefusedFromBeforeUntilAWhileAfter(t *testing.T) {
	now := time.Unix(1000, 0)
	kernel := &fakeKernel{prefixes: prefixes("x"), there: true} // of a previous process
	r := newRejects(kernel, klog.Background())
	for _, step := range []struct {
		after                    time.Duration
		announced, set, finished string
		wake                     time.Duration
	}{
		{0, "", "", "", 0}, // what was there ends at the start
		{0, "a", "a", "a", refresh},
		{0, "ab", "ab", "ab", refresh},
		{time.Second, "b", "ab", "ab", linger},
		{linger / 2, "b", "ab", "ab", linger - linger/2},
		{linger, "b", "ab", "b", refresh}, // Set alone forgets nothing
		{time.Second, "c", "bc", "bc", linger},
		{time.Second, "bc", "bc", "bc", refresh - time.Second}, // it is announced again
		{time.Second, "", "bc", "bc", linger},
		{linger, "", "bc", "", 0},
	} {
		now = now.Add(step.after)
		r.Set(prefixes(step.announced), now)
		if kernel.String() != step.set {
			t.Errorf("%+v: at first %s", step, kernel)
		}
		wake := r.Step(now)
		if kernel.String() != step.finished {
			t.Errorf("%+v: in the end %s", step, kernel)
		}
		if wake.IsZero() != (step.wake == 0) || step.wake != 0 && !wake.Equal(now.Add(step.wake)) {
			t.Errorf("%+v: wakes at %v, now is %v", step, wake, now)
		}
	}
}

func TestTheKernelIsTouchedOnlyForChangesAndToLiveOn(t *testing.T) {
	now := time.Unix(1000, 0)
	kernel := &fakeKernel{}
	r := newRejects(kernel, klog.Background())
	r.Set(prefixes("ab"), now)
	wake := r.Step(now)
	for range 10 {
		r.Set(prefixes("ab"), now)
		r.Step(now.Add(time.Second))
	}
	if kernel.rewrites != 1 || kernel.changes != 0 {
		t.Errorf("%d rewrites, %d changes", kernel.rewrites, kernel.changes)
	}
	r.Step(wake)
	if kernel.rewrites != 1 || kernel.changes != 1 {
		t.Errorf("at the refresh: %d rewrites, %d changes", kernel.rewrites, kernel.changes)
	}
}

func TestATableThatSomebodyHasRemovedIsMadeAnew(t *testing.T) {
	now := time.Unix(1000, 0)
	kernel := &fakeKernel{}
	r := newRejects(kernel, klog.Background())
	r.Set(prefixes("ab"), now)
	wake := r.Step(now)
	*kernel = fakeKernel{}
	r.Step(wake)
	if kernel.String() != "ab" {
		t.Errorf("the kernel refuses %q", kernel)
	}
	*kernel = fakeKernel{}
	r.Set(prefixes("abc"), wake)
	if kernel.String() != "abc" {
		t.Errorf("the kernel refuses %q", kernel)
	}
}

func TestAKernelThatCannotIsAskedAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	kernel := &fakeKernel{broken: errors.New("operation not permitted")}
	r := newRejects(kernel, klog.Background())
	r.Set(prefixes("a"), now)
	wake := r.Step(now)
	if !wake.Equal(now.Add(refresh)) {
		t.Errorf("wakes at %v", wake)
	}
	if got := r.Sentence(); !strings.HasPrefix(got, " Packets") || !strings.HasSuffix(got, ": operation not permitted.") {
		t.Errorf("it says %q", got)
	}
	kernel.broken = nil
	r.Step(wake)
	if got := r.Sentence(); kernel.String() != "a" || got != "" {
		t.Errorf("the kernel refuses %q, it says %q", kernel, got)
	}
	// So is one that does not forget.
	r.Set(nil, wake)
	kernel.broken = errors.New("busy")
	r.Step(wake.Add(linger))
	kernel.broken = nil
	r.Step(wake.Add(linger + refresh))
	if kernel.String() != "" {
		t.Errorf("the kernel refuses %q", kernel)
	}
}

func TestAProcessThatAnnouncesNothingLeavesNothingWhenItEnds(t *testing.T) {
	now := time.Unix(0, 0)
	for _, test := range []struct {
		name  string
		sets  []string
		there bool
	}{
		{name: "what lingers", sets: []string{"ab", ""}},
		{name: "what is announced stays, for the process that follows", sets: []string{"ab"}, there: true},
		{name: "what is announced stays with what lingers", sets: []string{"ab", "b"}, there: true},
		{name: "what a former process has left, before anything is known", there: true},
	} {
		k := &fakeKernel{there: true, prefixes: prefixes("x")}
		r := newRejects(k, klog.Background())
		for _, set := range test.sets {
			r.Set(prefixes(set), now)
		}
		r.Leave()
		if k.there != test.there {
			t.Errorf("%s: the table is there: %t", test.name, k.there)
		}
	}
}
