package bfd

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// Speaker runs sessions with any number of peers.
type Speaker struct {
	attach  func() (sockets, error)
	changed notify.Signal

	mu     sync.Mutex
	logger klog.Logger
	// sockets is nil unless the Speaker runs.
	sockets sockets
	// sessions are all sessions by local discriminator, those that are being ended included.
	sessions map[uint32]*runningSession
	// named are the sessions of the last Set, by name.
	named map[string]*runningSession
	// paths are all sessions by the origin of their packets.
	paths map[origin][]*runningSession
	// rejected are the sessions of the last Set that could not be added, by name.
	rejected map[string]rejection
	queue    queue
	pace     pace

	listeners map[service]*serviceListener
	// listenAt is when to call listen again; zero if the listeners are those that are needed.
	listenAt time.Time
	// port is the source port that nextPort has returned last.
	port uint16
}

// origin is where packets come from: the service at which they arrive, and the address of the peer.
type origin struct {
	service service
	peer    netip.Addr
}

// rejection is why a session could not be added.
type rejection struct {
	err   error
	since time.Time
}

// NewSpeaker returns a Speaker without sessions, in the network namespace of the process.
func NewSpeaker() *Speaker { return newSpeaker(attach) }

func newSpeaker(attach func() (sockets, error)) *Speaker {
	return &Speaker{
		attach:    attach,
		changed:   notify.New(),
		sessions:  map[uint32]*runningSession{},
		named:     map[string]*runningSession{},
		paths:     map[origin][]*runningSession{},
		rejected:  map[string]rejection{},
		listeners: map[service]*serviceListener{},
		port:      firstPort + uint16(rand.IntN(lastPort-firstPort+1)),
	}
}

// Await has Changed receive when a packet arrives after a time, which is about now, for the session of that name. It does nothing if there
// is none.
func (s *Speaker) Await(name string, after time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.named[name]; r != nil {
		r.awaited = after
		s.wake()
	}
}

// Changed receives after a session was added or removed, after its State or its Err has changed,
// and after its Detection or Overdue has changed in the state Up, and see Await. Several changes may come as one. Failures
// shows whether a session has gone down and come up again meanwhile.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Sessions returns the statuses of the sessions of the last Set, sorted by name.
func (s *Speaker) Sessions() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	statuses := make([]Status, 0, len(s.named)+len(s.rejected))
	for _, r := range s.named {
		status := r.status()
		if l := s.listeners[r.config.service()]; l != nil && l.err != nil {
			status.Err = l.err
		}
		statuses = append(statuses, status)
	}
	for name, rejection := range s.rejected {
		statuses = append(statuses, Status{Name: name, State: Down, RemoteState: Down, Since: rejection.since, Err: rejection.err})
	}
	slices.SortFunc(statuses, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return statuses
}

// Set says which sessions there are to be, by name. Each call names all of them. Nothing changes
// for those that are as before. Changed intervals are negotiated with the peer without an
// interruption. Missing sessions are ended, and as long as Run goes on, their peers are told that
// this is no failure. For a session that is invalid or a duplicate, the Status says so; the others
// are not affected.
func (s *Speaker) Set(sessions map[string]Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	configs, errs := map[string]Session{}, map[string]error{}
	for name, session := range sessions {
		configs[name], errs[name] = session.normalized()
	}
	for name, r := range s.named {
		if config, ok := configs[name]; !ok || errs[name] != nil || config.path() != r.config.path() {
			s.shutDown(r, now)
		}
	}
	rejected := map[string]rejection{}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if r := s.named[name]; r != nil && errs[name] == nil {
			if r.config != configs[name] {
				r.reconfigure(configs[name])
				s.queue.put(r)
			}
			continue
		}
		err := errs[name]
		if err == nil {
			err = s.add(name, configs[name], now)
		}
		if err != nil {
			since := now
			if before, ok := s.rejected[name]; ok {
				since = before.since
			}
			rejected[name] = rejection{err, since}
		}
	}
	if !maps.EqualFunc(rejected, s.rejected, func(a, b rejection) bool { return a.err.Error() == b.err.Error() }) {
		s.changed.Notify()
	}
	s.rejected = rejected
	s.listenAt = now
	s.wake()
}

// add begins a session. It returns an error if the same session exists by another name.
func (s *Speaker) add(name string, config Session, now time.Time) error {
	at := origin{config.service(), config.Peer}
	for _, other := range slices.Clone(s.paths[at]) {
		switch ending := !other.removeAt.IsZero(); {
		case ending && other.config.path().overlaps(config.path()):
			s.remove(other) // the peer would take the other's last packets for those of the new session
		case !ending && other.config.path() == config.path():
			return fmt.Errorf("%w: %s", ErrDuplicate, other.name)
		}
	}
	r := newRunningSession(name, config, s.newDiscriminator(), now)
	s.sessions[r.local] = r
	s.named[name] = r
	s.paths[at] = append(s.paths[at], r)
	s.queue.put(r)
	s.changed.Notify()
	return nil
}

// newDiscriminator returns one that no session has.
func (s *Speaker) newDiscriminator() uint32 {
	discriminator := rand.Uint32()
	for discriminator == 0 || s.sessions[discriminator] != nil {
		discriminator = rand.Uint32()
	}
	return discriminator
}

// renew gives a session that is not up any more another discriminator: packets that somebody has recorded and sends again are for
// none then.
func (s *Speaker) renew(r *runningSession) {
	delete(s.sessions, r.local)
	r.local = s.newDiscriminator()
	s.sessions[r.local] = r
}

// shutDown ends a session on purpose.
func (s *Speaker) shutDown(r *runningSession, now time.Time) {
	delete(s.named, r.name)
	r.shutDown(now)
	s.queue.put(r)
	s.changed.Notify()
}

// remove removes a session at once.
func (s *Speaker) remove(r *runningSession) {
	delete(s.sessions, r.local)
	at := origin{r.config.service(), r.config.Peer}
	s.paths[at] = slices.DeleteFunc(s.paths[at], func(o *runningSession) bool { return o == r })
	if len(s.paths[at]) == 0 {
		delete(s.paths, at)
	}
	s.queue.remove(r)
	r.closeSender()
	s.listenAt = time.Now()
}

// Run runs the sessions until the context ends, and then returns nil. It returns an error if it
// cannot begin. Peers are not told of the end. It looks like a failure to them, and they know best
// what that means together with the end of what else goes over the path.
func (s *Speaker) Run(ctx context.Context) error {
	done := make(chan error)
	go func() { done <- s.run(ctx) }() // the priority of its thread ends with it
	return <-done
}

func (s *Speaker) run(ctx context.Context) error {
	sockets, err := s.attach()
	if err != nil {
		return err
	}
	timer, err := sockets.timer(s.stepCalmly)
	if err != nil {
		sockets.close()
		return err
	}
	s.mu.Lock()
	s.logger, s.sockets, s.listenAt, s.pace.timer = klog.FromContext(ctx), sockets, time.Now(), timer
	s.mu.Unlock()
	defer s.close()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake()
	})()
	for ctx.Err() == nil {
		sockets.wait(s.step())
	}
	return nil
}

// wake has the thread of Run take a step at once.
func (s *Speaker) wake() {
	if s.sockets != nil {
		s.sockets.wake()
	}
}

// doDue does what is due at a time. It returns when to call it again; zero if only when something arrives.
func (s *Speaker) doDue(now time.Time) time.Time {
	if !s.listenAt.IsZero() && !now.Before(s.listenAt) {
		s.listen(now)
	}
	// Packets are received before detection times are checked: this process may have had no
	// processor for a while.
	for _, l := range s.listeners {
		s.receiveAll(l)
	}
	next, ok := s.queue.next()
	if ok && !next.After(now) {
		s.sendTogether(now)
	}
	for ; ok && !next.After(now); next, ok = s.queue.next() {
		r := s.queue[0]
		if failed := guard.Run("bfd", r.name, func() { s.advance(r, now) }); failed != nil {
			s.giveUp(r, failed, now)
		}
	}
	if !s.listenAt.IsZero() && (!ok || s.listenAt.Before(next)) {
		return s.listenAt
	}
	return next
}

// sendTogether has all packets due that may be sent now: to wake up costs more than to send.
func (s *Speaker) sendTogether(now time.Time) {
	for _, r := range s.sessions {
		if from, may := r.maySendFrom(); may && r.state == Up && !now.Before(from) {
			r.sendNow()
			s.queue.put(r)
		}
	}
}

// advance does what is due for a session.
func (s *Speaker) advance(r *runningSession, now time.Time) {
	sinceLast := now.Sub(r.remote.lastReceived) // meaningless unless the peer is heard
	s.update(r, now, func() {
		wasUp := r.state == Up
		if r.checkDetectionTime(now) && wasUp {
			r.lastDetection = sinceLast
		}
	})
	for packet, ok := r.nextPacket(now); ok; packet, ok = r.nextPacket(now) {
		s.send(r, packet)
	}
	if !r.removeAt.IsZero() && !now.Before(r.removeAt) {
		s.remove(r)
		return
	}
	s.queue.put(r)
}

// giveUp ends a session that cannot go on for a fault of the program. Its status says so; the next Set
// begins it anew.
func (s *Speaker) giveUp(r *runningSession, failed error, now time.Time) {
	s.remove(r)
	if s.named[r.name] == r {
		delete(s.named, r.name)
		s.rejected[r.name] = rejection{failed, now}
	}
	s.changed.Notify()
}

// update calls do, which may change the state of a session. It logs, counts and reports the change.
func (s *Speaker) update(r *runningSession, now time.Time, do func()) {
	before, detection, overdue := r.state, r.detectionTime(), r.overdue
	do()
	if r.state == before {
		if r.state == Up && (r.detectionTime() != detection || r.overdue != overdue) {
			s.changed.Notify()
		}
		return
	}
	r.since = now
	if before == Up && r.config.Keys != nil {
		s.renew(r)
	}
	if before == Up && r.remote.state != AdminDown {
		r.failures++
	}
	logger := s.logger
	if before != Up && r.state != Up {
		logger = logger.V(2) // anybody on the link can cause it (see validate)
	}
	logger.Info("A BFD session changed", "session", r.name, "peer", r.config.Peer, "from", before, "to", r.state,
		"diagnostic", r.diagnostic, "remoteState", r.remote.state, "remoteDiagnostic", r.remote.diagnostic)
	s.changed.Notify()
}

// setError keeps an error, which may be nil, and reports if it is another one than before.
func (s *Speaker) setError(kept *error, err error) {
	if (*kept == nil) != (err == nil) || err != nil && (*kept).Error() != err.Error() {
		*kept = err
		s.changed.Notify()
	}
}

func (s *Speaker) close() {
	s.pace.timer.close() // waits for a step that it takes
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.close()
	}
	clear(s.listeners)
	for _, r := range s.sessions {
		r.closeSender()
	}
	s.sockets.close()
	s.sockets = nil
}
