package announce

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/internal/notify"
)

// When heartbeats count as late and as silent, and for how long.
const (
	lateAfter   = 62 * time.Millisecond
	silentAfter = 150 * time.Millisecond
)

// fakeHeartbeats are those of a station, which arrive wherever both ends are connected.
type fakeHeartbeats struct {
	station *station
	changed notify.Signal

	// The LAN's mu guards the rest.
	running, left bool
	// muted says that they reach nobody.
	muted      bool
	neighbours map[string]netip.Addr
	heard      map[string]bool
	lost       map[string]time.Time
	// forgotten is when this node was told that it has not run.
	forgotten time.Time
}

func newFakeHeartbeats(s *station) *fakeHeartbeats {
	h := &fakeHeartbeats{station: s, changed: notify.New(), heard: map[string]bool{}, lost: map[string]time.Time{}}
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.lan.heartbeats = append(slices.DeleteFunc(s.lan.heartbeats, func(o *fakeHeartbeats) bool { return o.station.node == s.node }), h)
	return h
}

// beat has everybody hear, under mu, whom it hears now.
func (l *fakeLAN) beat() {
	for _, h := range l.heartbeats {
		for name := range h.neighbours {
			hears := slices.ContainsFunc(l.heartbeats, func(o *fakeHeartbeats) bool { return o.station.node == name && o.reaches(h) })
			if hears == h.heard[name] {
				continue
			}
			h.heard[name] = hears
			if hears {
				delete(h.lost, name)
				h.changed.Notify()
				continue
			}
			h.lost[name] = time.Now()
			for _, after := range []time.Duration{lateAfter, silentAfter} {
				time.AfterFunc(after, h.changed.Notify)
			}
		}
	}
}

func (h *fakeHeartbeats) reaches(o *fakeHeartbeats) bool {
	_, expects := h.neighbours[o.station.node]
	return expects && h.running && o.running && h.station.connected && o.station.connected && !h.muted && !o.muted
}

// mute has the heartbeats of a node reach nobody, as where their port is blocked.
func (c *cluster) mute(name string, muted bool) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	for _, h := range c.lan.heartbeats {
		if h.station.node == name {
			h.muted = muted
		}
	}
	c.lan.beat()
}

func (h *fakeHeartbeats) set(change func()) {
	h.station.lan.mu.Lock()
	defer h.station.lan.mu.Unlock()
	change()
	h.station.lan.beat()
}

func (h *fakeHeartbeats) Run(ctx context.Context) error {
	h.set(func() { h.running = !h.left })
	<-ctx.Done()
	h.Leave()
	return nil
}

// Leave implements heartbeats.
func (h *fakeHeartbeats) Leave() {
	h.set(func() {
		h.running, h.left = false, true
		for _, o := range h.station.lan.heartbeats { // they are told that this is no failure
			delete(o.heard, h.station.node)
		}
	})
}

func (h *fakeHeartbeats) Set(neighbours map[string]netip.Addr) {
	h.set(func() {
		h.neighbours = neighbours
		for name := range h.heard {
			if _, stays := neighbours[name]; !stays {
				delete(h.heard, name)
				delete(h.lost, name)
			}
		}
	})
}

func (h *fakeHeartbeats) Changed() <-chan struct{} { return h.changed }

func (h *fakeHeartbeats) States(now time.Time) (states map[string]heartbeat.State, next time.Time) {
	h.station.lan.mu.Lock()
	defer h.station.lan.mu.Unlock()
	states = map[string]heartbeat.State{}
	for name, hears := range h.heard {
		lost, is := h.lost[name]
		switch silence := now.Sub(lost); {
		case hears:
			states[name] = heartbeat.Heard
		case !is || silence >= silentAfter+silentFor:
		case now.Before(h.forgotten.Add(silentAfter)) && silence >= lateAfter:
			next = h.forgotten.Add(silentAfter)
		case silence >= silentAfter:
			states[name] = heartbeat.Silent
			next = lost.Add(silentAfter + silentFor)
		case silence >= lateAfter:
			states[name] = heartbeat.Late
		default:
			states[name] = heartbeat.Heard
		}
	}
	return states, next
}

func (h *fakeHeartbeats) Forget(now time.Time) { h.set(func() { h.forgotten = now }) }

// LastHeard implements heartbeats.
func (h *fakeHeartbeats) LastHeard(name string) time.Time {
	h.station.lan.mu.Lock()
	defer h.station.lan.mu.Unlock()
	return h.lost[name]
}

// LastArrival implements heartbeats.
func (h *fakeHeartbeats) LastArrival(name string) time.Time {
	h.station.lan.mu.Lock()
	defer h.station.lan.mu.Unlock()
	last := time.Now()
	if lost, is := h.lost[name]; is {
		last = lost
	}
	return last.Truncate(heartbeat.DefaultInterval)
}

// Await implements heartbeats.
func (h *fakeHeartbeats) Await(string, time.Time) {
	time.AfterFunc(heartbeat.DefaultInterval-time.Since(time.Now().Truncate(heartbeat.DefaultInterval)), h.changed.Notify)
}

// noHeartbeats are those of an announcer that does not know of any.
type noHeartbeats struct{ idle }

func (noHeartbeats) Set(map[string]netip.Addr) {}

func (noHeartbeats) Changed() <-chan struct{} { return nil }

func (noHeartbeats) States(time.Time) (map[string]heartbeat.State, time.Time) {
	return nil, time.Time{}
}

func (noHeartbeats) LastHeard(string) (at time.Time) { return at }

func (noHeartbeats) LastArrival(string) (at time.Time) { return at }

func (noHeartbeats) Await(string, time.Time) {}

func (noHeartbeats) Leave() {}

func (noHeartbeats) Forget(time.Time) {}
