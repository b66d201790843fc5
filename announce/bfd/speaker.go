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

	"github.com/clarionlb/clarion/internal/notify"
)

// Speaker runs sessions with any number of neighbours.
type Speaker struct {
	attach  func() (sockets, error)
	changed notify.Signal

	mu     sync.Mutex
	logger klog.Logger
	// sockets are there while it runs.
	sockets sockets
	// sessions are the sessions by discriminator, those that are being ended included; named are the others.
	sessions map[uint32]*runningSession
	named    map[string]*runningSession
	// paths are the sessions by where their packets come from.
	paths map[origin][]*runningSession
	// refused are why sessions could not be added.
	refused map[string]refusal
	queue   queue

	listeners map[service]*serviceListener
	// listenAt is when to see again whether the listeners are those that are needed; zero if they are.
	listenAt time.Time
	// port is where to begin to look for a free source port.
	port uint16
}

// origin is where packets come from.
type origin struct {
	service service
	peer    netip.Addr
}

// refusal is a session that cannot be.
type refusal struct {
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
		refused:   map[string]refusal{},
		listeners: map[service]*serviceListener{},
		port:      firstPort + uint16(rand.IntN(lastPort-firstPort+1)),
	}
}

// Changed receives after a session was added or removed, or its State, its Err or in the state Up its Detection has changed; several
// changes may come as one. Failures tells if one has gone down and come up again meanwhile.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Sessions returns how all sessions are doing, by name. Those that are not in the last Set are left out.
func (s *Speaker) Sessions() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	statuses := make([]Status, 0, len(s.named)+len(s.refused))
	for _, p := range s.named {
		status := p.status()
		if ear := s.listeners[p.config.service()]; ear != nil && ear.err != nil {
			status.Err = ear.err
		}
		statuses = append(statuses, status)
	}
	for name, refusal := range s.refused {
		statuses = append(statuses, Status{Name: name, State: Down, RemoteState: Down, Since: refusal.since, Err: refusal.err})
	}
	slices.SortFunc(statuses, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return statuses
}

// Set says which sessions there are to be, by name. Those that are as before go on undisturbed; changed intervals are agreed on with
// the neighbour without an interruption. Those that are not there any more are ended, and their neighbours told that this is no failure,
// as long as Run goes on. One that cannot be, or contradicts itself, says so in its Status and leaves the others alone.
func (s *Speaker) Set(sessions map[string]Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	configs, errs := map[string]Session{}, map[string]error{}
	for name, session := range sessions {
		configs[name], errs[name] = session.normalized()
	}
	for name, p := range s.named {
		if config, ok := configs[name]; !ok || errs[name] != nil || config.path() != p.config.path() {
			s.shutDown(p, now)
		}
	}
	refused := map[string]refusal{}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if p := s.named[name]; p != nil && errs[name] == nil {
			if p.config != configs[name] {
				p.reconfigure(configs[name])
				s.queue.put(p)
			}
			continue
		}
		err := errs[name]
		if err == nil {
			err = s.add(name, configs[name], now)
		}
		if err != nil {
			since := now
			if before, ok := s.refused[name]; ok {
				since = before.since
			}
			refused[name] = refusal{err, since}
		}
	}
	if !maps.EqualFunc(refused, s.refused, func(a, b refusal) bool { return a.err.Error() == b.err.Error() }) {
		s.changed.Notify()
	}
	s.refused = refused
	s.listenAt = now
	s.wake()
}

// add begins a session, unless it is there already by another name.
func (s *Speaker) add(name string, config Session, now time.Time) error {
	at := origin{config.service(), config.Peer}
	for _, other := range slices.Clone(s.paths[at]) {
		switch leaving := !other.removeAt.IsZero(); {
		case leaving && other.config.path().overlaps(config.path()):
			s.remove(other) // the neighbour would take its last words for those of the new one
		case !leaving && other.config.path() == config.path():
			return fmt.Errorf("%w: %s", ErrDuplicate, other.name)
		}
	}
	discriminator := rand.Uint32()
	for discriminator == 0 || s.sessions[discriminator] != nil {
		discriminator = rand.Uint32()
	}
	p := newRunningSession(name, config, discriminator, now)
	s.sessions[discriminator] = p
	s.named[name] = p
	s.paths[at] = append(s.paths[at], p)
	s.queue.put(p)
	s.changed.Notify()
	return nil
}

// shutDown has a session take its leave.
func (s *Speaker) shutDown(p *runningSession, now time.Time) {
	delete(s.named, p.name)
	p.shutDown(now)
	s.queue.put(p)
	s.changed.Notify()
}

// remove drops a session.
func (s *Speaker) remove(p *runningSession) {
	delete(s.sessions, p.local)
	at := origin{p.config.service(), p.config.Peer}
	s.paths[at] = slices.DeleteFunc(s.paths[at], func(o *runningSession) bool { return o == p })
	if len(s.paths[at]) == 0 {
		delete(s.paths, at)
	}
	s.queue.remove(p)
	p.closeSender()
	s.listenAt = time.Now()
}

// Run holds the sessions until the context ends, and then returns nil; or an error if it cannot begin. Neighbours are not told that it
// ends: to them that looks like a failure, and they know best what it means together with the end of what else goes over the path.
func (s *Speaker) Run(ctx context.Context) error {
	done := make(chan error)
	go func() { done <- s.run(ctx) }() // what it does to its thread ends with it
	return <-done
}

func (s *Speaker) run(ctx context.Context) error {
	sockets, err := s.attach()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.logger, s.sockets, s.listenAt = klog.FromContext(ctx), sockets, time.Now()
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

// wake has Run look after what has changed.
func (s *Speaker) wake() {
	if s.sockets != nil {
		s.sockets.wake()
	}
}

// step does what is due, and returns when to come back at the latest; zero if not before something happens.
func (s *Speaker) step() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.listenAt.IsZero() && !now.Before(s.listenAt) {
		s.listen(now)
	}
	// What has arrived by now counts before what has not: this process may just have had no processor for a while.
	for _, e := range s.listeners {
		s.receiveAll(e)
	}
	next, ok := s.queue.next()
	for ; ok && !next.After(now); next, ok = s.queue.next() {
		s.advance(s.queue[0], now)
	}
	if !s.listenAt.IsZero() && (!ok || s.listenAt.Before(next)) {
		return s.listenAt
	}
	return next
}

// advance does for a session what is due.
func (s *Speaker) advance(p *runningSession, now time.Time) {
	silence := now.Sub(p.lastReceived) // if it was heard
	s.update(p, now, func() {
		wasUp := p.state == Up
		if p.checkDetectionTime(now) && wasUp {
			p.lastDetection = silence
		}
	})
	for packet, ok := p.nextPacket(now); ok; packet, ok = p.nextPacket(now) {
		s.send(p, packet)
	}
	if !p.removeAt.IsZero() && !now.Before(p.removeAt) {
		s.remove(p)
		return
	}
	s.queue.put(p)
}

// update does something to the machine of a session, and tells of what comes of it.
func (s *Speaker) update(p *runningSession, now time.Time, do func()) {
	before, detection := p.state, p.detectionTime()
	do()
	if p.state == before {
		if p.state == Up && p.detectionTime() != detection {
			s.changed.Notify()
		}
		return
	}
	p.since = now
	if before == Up && p.remoteState != AdminDown {
		p.failures++
	}
	s.logger.Info("A BFD session changed", "session", p.name, "peer", p.config.Peer, "from", before, "to", p.state,
		"diagnostic", p.diagnostic, "remoteState", p.remoteState, "remoteDiagnostic", p.remoteDiagnostic)
	s.changed.Notify()
}

// setError keeps an error or that there is none, and tells if it is another one.
func (s *Speaker) setError(kept *error, err error) {
	if (*kept == nil) != (err == nil) || err != nil && (*kept).Error() != err.Error() {
		*kept = err
		s.changed.Notify()
	}
}

func (s *Speaker) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.listeners {
		e.close()
	}
	clear(s.listeners)
	for _, p := range s.sessions {
		p.closeSender()
	}
	s.sockets.close()
	s.sockets = nil
}
