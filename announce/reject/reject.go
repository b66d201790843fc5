package reject

import (
	"maps"
	"net/netip"
	"time"

	"k8s.io/klog/v2"
)

const (
	// linger is how long packets to an address are refused after the node has ceased to announce it:
	// some are still under way then.
	linger = 5 * time.Second
	// lifetime is for how long the kernel goes on when it hears nothing: while an announcer is
	// restarted, but not when there is none any more. Others may then have the addresses.
	lifetime = 2 * time.Minute
	// refresh is how often it hears something.
	refresh = lifetime / 4
)

// Rejects has the kernel refuse packets to what one protocol announces on this node. What was Set
// stays in the kernel for two minutes when the process ends, unless nothing is announced any more (Leave). A Rejects is not safe for concurrent
// use.
type Rejects struct {
	kernel kernel
	logger klog.Logger

	// announced are the prefixes that are announced, and leaving those that are no longer, with when
	// they are to be forgotten.
	announced map[netip.Prefix]struct{}
	leaving   map[netip.Prefix]time.Time
	// known says that the kernel has the current prefixes and no others, and stale that it is to
	// have others. due is when it is to hear of this process again; zero: never.
	known, stale bool
	current      map[netip.Prefix]struct{}
	due          time.Time
	// problem is why the kernel cannot refuse anything; "" if it can.
	problem string
}

// kernel is a table in the kernel.
type kernel interface {
	// rewrite makes the table anew. Without prefixes there is none.
	rewrite(prefixes map[netip.Prefix]struct{}) error
	// change removes prefixes from a table that is there, and adds others. The table lives for
	// another lifetime.
	change(gone, added []netip.Prefix) error
}

// New returns the Rejects of a protocol: its name, in lower case, is part of that of the table.
func New(protocol string, logger klog.Logger) *Rejects {
	return newRejects(&table{name: tablePrefix + protocol}, logger)
}

func newRejects(kernel kernel, logger klog.Logger) *Rejects {
	return &Rejects{kernel: kernel, logger: logger, leaving: map[netip.Prefix]time.Time{}, stale: true}
}

// Set takes all that is announced from now on, and is to be called before that. The first call also
// ends what a previous process has Set. The map must not be modified any more.
func (r *Rejects) Set(announced map[netip.Prefix]struct{}, now time.Time) {
	for prefix := range r.announced {
		if _, stays := announced[prefix]; !stays {
			r.leaving[prefix] = now.Add(linger)
		}
	}
	for prefix := range announced {
		delete(r.leaving, prefix)
		if _, has := r.current[prefix]; !has {
			r.stale = true
		}
	}
	r.announced = announced
	r.apply(now)
}

// Step does what is due, and returns when to call it again; zero: after the next Set.
func (r *Rejects) Step(now time.Time) (wake time.Time) {
	for prefix, until := range r.leaving {
		if !now.Before(until) {
			delete(r.leaving, prefix)
			r.stale = true
		} else if wake.IsZero() || until.Before(wake) {
			wake = until
		}
	}
	r.apply(now)
	if wake.IsZero() || !r.due.IsZero() && r.due.Before(wake) {
		wake = r.due
	}
	return wake
}

// Leave is called when the process ends. If it announces nothing, it leaves nothing in the kernel: of what lingers nobody would
// remove the table.
func (r *Rejects) Leave() {
	if r.known && len(r.announced) == 0 && len(r.current) > 0 {
		r.noteProblem(r.kernel.rewrite(nil))
	}
}

// apply has the kernel refuse what it is to refuse, if that is another thing than before, or if it
// is time to do so.
func (r *Rejects) apply(now time.Time) {
	if !r.stale && (r.due.IsZero() || now.Before(r.due)) {
		return
	}
	wanted := maps.Clone(r.announced)
	if wanted == nil {
		wanted = map[netip.Prefix]struct{}{}
	}
	for prefix := range r.leaving {
		wanted[prefix] = struct{}{}
	}
	err := r.update(wanted)
	r.known, r.stale, r.current, r.due = err == nil, false, wanted, time.Time{}
	if err != nil || len(wanted) > 0 {
		r.due = now.Add(refresh)
	}
	r.noteProblem(err)
}

// update has the kernel refuse packets to these prefixes and to no others. It may be wrong what is
// known of the kernel, since others can remove a table. Then the table is written anew.
func (r *Rejects) update(wanted map[netip.Prefix]struct{}) error {
	if r.known && len(r.current) > 0 && len(wanted) > 0 {
		if r.kernel.change(missing(r.current, wanted), missing(wanted, r.current)) == nil {
			return nil
		}
	}
	return r.kernel.rewrite(wanted)
}

// missing are the prefixes of one set that another one lacks.
func missing(of, in map[netip.Prefix]struct{}) (missing []netip.Prefix) {
	for prefix := range of {
		if _, has := in[prefix]; !has {
			missing = append(missing, prefix)
		}
	}
	return missing
}

func (r *Rejects) noteProblem(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != r.problem {
		r.problem = problem
		r.logger.Info("Whether the kernel refuses packets to ports that no Service has has changed", "problem", problem)
	}
}

// Sentence adds to what a running announcer says that the kernel refuses nothing; "" if it does.
func (r *Rejects) Sentence() string {
	if r.problem == "" {
		return ""
	}
	return " Packets to ports that no Service has are forwarded instead of refused: " + r.problem + "."
}
