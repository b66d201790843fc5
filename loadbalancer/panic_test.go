package loadbalancer

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/clarionlb/clarion/internal/guard"
)

// failingOn has what is done for a Service panic.
func failingOn(t *testing.T, r Request) (heal func()) {
	heal = guard.Plant(func(kind string, object any) bool { return kind == "service" && object == r.Service })
	t.Cleanup(heal)
	return heal
}

func TestAPanicOnOneServiceIsNoneOfOthersAndTakesNothingFromIt(t *testing.T) {
	s := newScript(t, newPool("public", "10.0.0.0/24"))
	web, other := s.service("web"), s.service("other")
	had, err := s.a.Ensure(s.now, web)
	if err != nil {
		t.Fatal(err)
	}
	heal := failingOn(t, web)
	out, err := s.a.Ensure(s.now, web)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != InternalError {
		t.Errorf("the answer is %v", err)
	}
	if len(out.Addresses) != 1 || out.Addresses[0] != had.Addresses[0] {
		t.Errorf("has %v, had %v", out.Addresses, had.Addresses)
	}
	next, err := s.a.Ensure(s.now, other)
	if err != nil || next.Addresses[0] == had.Addresses[0] {
		t.Errorf("the other one gets %v, %v", next.Addresses, err)
	}
	heal()
	if out, err = s.a.Ensure(s.now, web); err != nil || out.Addresses[0] != had.Addresses[0] {
		t.Errorf("after the fault: %v, %v", out.Addresses, err)
	}
}

// TestAPanicInTheMiddleLeavesTheServiceUnknownAndItsClaimAlone breaks the allocator itself: whoever
// looks for the pool of an address panics.
func TestAPanicInTheMiddleLeavesTheServiceUnknownAndItsClaimAlone(t *testing.T) {
	s := newScript(t, newPool("public", "10.0.0.0/24"))
	web := s.service("web")
	web.Current = []netip.Addr{netip.MustParseAddr("10.0.0.7")}
	whole := s.a.index
	s.a.index = slices.Clone(whole)
	s.a.index[0].pool = nil
	out, err := s.a.Ensure(s.now, web)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != InternalError {
		t.Fatalf("the answer is %v", err)
	}
	if len(out.Addresses) != 1 || out.Addresses[0] != web.Current[0] {
		t.Errorf("keeps %v", out.Addresses)
	}
	if _, known := s.a.Lookup(web.Service); known {
		t.Error("it is known, so that it will not claim its address again")
	}
	s.a.index = whole
	if out, err = s.a.Ensure(s.now, web); err != nil || out.Addresses[0] != web.Current[0] {
		t.Errorf("after the fault: %v, %v", out.Addresses, err)
	}
}
