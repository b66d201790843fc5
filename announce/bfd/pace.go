package bfd

import "time"

const (
	// grace is how late a step may be until the thread of Run takes it.
	grace = 10 * time.Millisecond
	// hurry is for how long the thread of Run takes all steps after one was late.
	hurry = 2 * time.Second
)

// pace is who takes the steps of a Speaker, and when.
//
// The thread of Run does while packets are to be handled as they arrive, and on a busy node: it has a priority. It costs more to wake
// than all that is done in a step, though, since the monitor of Go's scheduler then looks after it for a while, some twenty times. So
// while all sessions are settled, a timer has the steps taken by any thread, and the thread of Run sleeps on unless one is late.
type pace struct {
	// beat is called in each step before anything else, at least once in each interval; nil: nothing is.
	beat     func()
	interval time.Duration
	// timer takes the next step if calm is set, which is due at due. Otherwise, the thread of Run does.
	timer timer
	calm  bool
	due   time.Time
	// hurriedUntil is until when the thread of Run takes all steps.
	hurriedUntil time.Time
}

// Beat has Run call beat as long as it runs: at least once in each interval, before it does anything else, and never twice at once. It
// must be called before Run.
func (s *Speaker) Beat(interval time.Duration, beat func()) {
	s.pace.interval, s.pace.beat = interval, beat
}

// step takes a step by the thread of Run. It returns whether to take the next one when something arrives, too.
func (s *Speaker) step() (arrivals bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.pace.calm && !now.Before(s.pace.due.Add(grace)) {
		s.pace.hurriedUntil = now.Add(hurry)
	}
	return s.take(now)
}

// stepCalmly takes a step by any thread.
func (s *Speaker) stepCalmly() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets == nil || !s.pace.calm {
		return
	}
	if !s.listenAt.IsZero() { // the thread of Run opens and closes listeners, since it waits for them
		s.wake()
		return
	}
	if s.take(time.Now()); !s.pace.calm {
		s.wake()
	}
}

// take does what is due, and plans the next step. It returns whether to take that also when something arrives.
func (s *Speaker) take(now time.Time) (arrivals bool) {
	if s.pace.beat != nil {
		s.pace.beat()
	}
	return s.schedule(s.doDue(now), now)
}

// schedule plans the next step, which is due at a time, or never if that is zero. It returns whether to take it also when something
// arrives.
func (s *Speaker) schedule(due, now time.Time) (arrivals bool) {
	p := &s.pace
	if p.beat != nil && (due.IsZero() || now.Add(p.interval).Before(due)) {
		due = now.Add(p.interval)
	}
	arrivals = !s.mayCoalesce()
	calm := !arrivals && !due.IsZero() && !now.Before(p.hurriedUntil)
	if calm {
		p.timer.set(due)
		s.sockets.alarm(due.Add(grace))
	} else {
		if p.calm {
			p.timer.set(time.Time{})
		}
		s.sockets.alarm(due)
	}
	p.calm, p.due = calm, due
	return arrivals
}

// mayCoalesce says whether no packet has to be handled as it arrives.
func (s *Speaker) mayCoalesce() bool {
	for _, r := range s.sessions {
		if !r.mayCoalesce() {
			return false
		}
	}
	return true
}
