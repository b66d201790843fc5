package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/internal/guard"
)

// Failure is a panic of a planner, which is a fault of the program. It concerns one object, or the
// plan as a whole if it is not known which. What was in force for it stays so.
type Failure struct {
	// Address is one that nothing could be decided about; the zero Addr if it is none.
	Address netip.Addr
	// Object is the kind and the name of one of our objects; "" if it is none.
	Object string
	Panic  *guard.Panic
}

// On is what the failure concerns, in words.
func (f Failure) On() string {
	if f.Address.IsValid() {
		return f.Address.String()
	}
	return cmp.Or(f.Object, "the plan as a whole")
}

// failureRetry is when it is tried again to decide about an address of which nothing has changed: the
// fault may depend on something else that has.
const failureRetry = 10 * time.Second

// failures are the addresses that a planner could not decide about last, and when to try again. The
// zero Addr stands for the plan as a whole.
type failures map[netip.Addr]failure

type failure struct {
	Failure
	retry time.Time
}

// note takes note of a panic.
func (f failures) note(ip netip.Addr, p *guard.Panic, now time.Time) Failure {
	is := Failure{Address: ip, Panic: p}
	f[ip] = failure{is, now.Add(failureRetry)}
	return is
}

// forgive forgets those to try again: those that are due, and those that have changed. It returns
// when the next ones are due.
func (f failures) forgive(now time.Time, changed func(netip.Addr) bool) (due []netip.Addr, wake time.Time) {
	for ip, is := range f {
		if now.Before(is.retry) && !changed(ip) {
			wake = Earlier(wake, is.retry)
			continue
		}
		delete(f, ip)
		if ip.IsValid() {
			due = append(due, ip)
		}
	}
	return due, wake
}

// all are sorted by address.
func (f failures) all() (all []Failure) {
	for _, is := range f {
		all = append(all, is.Failure)
	}
	slices.SortFunc(all, func(a, b Failure) int { return a.Address.Compare(b.Address) })
	return all
}

// takeFailed returns the objects that could not be read since it was called last.
func (v *View) takeFailed() []Failure {
	failed := slices.Concat(
		v.l2Advertisements.failed, v.bgpPeers.failed, v.bgpAdvertisements.failed, v.communities.failed, v.bfdProfiles.failed,
	)
	v.l2Advertisements.failed, v.bgpPeers.failed, v.bgpAdvertisements.failed = nil, nil, nil
	v.communities.failed, v.bfdProfiles.failed = nil, nil
	return failed
}

// Failed are the addresses that the planner could not decide about last, for a fault of the program;
// the zero Addr stands for the plan as a whole.
func (p *Layer2Planner) Failed() []Failure { return p.failures.all() }

// Failed are those that this planner could not decide about.
func (p *BGPPlanner) Failed() []Failure { return p.failures.all() }
