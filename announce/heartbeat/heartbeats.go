package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bfd"
)

const (
	// DefaultPort is the UDP port of the heartbeats.
	DefaultPort = 7950
	// DefaultInterval is the time between two heartbeats, and the others the least and the most
	// that it may be.
	DefaultInterval = 50 * time.Millisecond
	MinimumInterval = 20 * time.Millisecond
	MaximumInterval = 200 * time.Millisecond
	// notUpIntervals is in how many intervals one packet is sent to a neighbour that is not heard. So whoever is back is watched
	// soon, and none costs more than one that is heard.
	notUpIntervals = 2
	// multiplier is how many heartbeats must be missing for a member to be silent.
	multiplier = 3
	// silenceFor is how long a silence counts: the gossip has noticed by then if the member is dead.
	silenceFor = 2 * time.Second
)

// Check returns an error for an interval between two heartbeats that is too short, or as long as
// the gossip needs to notice.
func Check(interval time.Duration) error {
	if interval < MinimumInterval || interval > MaximumInterval {
		return fmt.Errorf("the interval of heartbeats is %s: it must be between %s and %s", interval, MinimumInterval, MaximumInterval)
	}
	return nil
}

// Config is what Heartbeats are made of.
type Config struct {
	// Address of this node, from and to which heartbeats go.
	Address netip.Addr
	// Port for UDP, the same on all members. 0 is DefaultPort.
	Port int
	// Interval between two heartbeats. 0 is DefaultInterval. Of two members the longer one counts.
	Interval time.Duration
	// Keys returns those with which heartbeats are authenticated, see bfd.NewKeys.
	Keys func() [][]byte
	// Alive is called by whoever sends the heartbeats, as long as Run goes on, at least once in each Interval and before it looks at what
	// has arrived. nil: nothing is.
	Alive func()
	// Logger for what keeps heartbeats from being sent. The zero Logger is silent.
	Logger klog.Logger
}

// State is what heartbeats say of a neighbour.
type State int

const (
	// Heard : its heartbeats arrive.
	Heard State = iota + 1
	// Late : one heartbeat is missing. On a busy node that is nothing unusual.
	Late
	// Silent : so many are missing that the member, its node or the way there has failed.
	Silent
)

// Heartbeats are those of one member and of its neighbours. Its methods may be called by any goroutine.
type Heartbeats struct {
	config  Config
	speaker *bfd.Speaker
	keys    *bfd.Keys

	mu      sync.Mutex
	watched map[string]*watched
	// forgotten is when Forget was called last, and left when Leave was called first.
	forgotten, left time.Time
	// err is why heartbeats cannot be sent or received; nil if they can.
	err error
}

// watched is what is known of a neighbour.
type watched struct {
	// failures counts how often its session has gone down.
	failures uint64
	// silentSince is when its heartbeats were found to have stopped, and heard when the last one came; zero if they did not stop, or if
	// that does not count.
	silentSince, heard time.Time
}

// New returns Heartbeats without neighbours.
func New(config Config) *Heartbeats { return NewOn(config, bfd.NewSpeaker()) }

// NewOn is New with another Speaker, which has no sessions and does not run.
func NewOn(config Config, speaker *bfd.Speaker) *Heartbeats {
	if config.Port == 0 {
		config.Port = DefaultPort
	}
	if config.Interval == 0 {
		config.Interval = DefaultInterval
	}
	if config.Alive != nil {
		speaker.Beat(config.Interval, config.Alive)
	}
	return &Heartbeats{config: config, speaker: speaker, keys: bfd.NewKeys(config.Keys), watched: map[string]*watched{}}
}

// Set says which neighbours there are to be, by name. Those of another address family are left out.
func (h *Heartbeats) Set(neighbours map[string]netip.Addr) {
	sessions := make(map[string]bfd.Session, len(neighbours))
	for name, address := range neighbours {
		if address.Is4() != h.config.Address.Is4() || address == h.config.Address {
			continue
		}
		sessions[name] = bfd.Session{
			Peer: address, Local: h.config.Address, Port: uint16(h.config.Port), Keys: h.keys,
			Transmit: h.config.Interval, Receive: h.config.Interval, Multiplier: multiplier,
			NotUp: notUpIntervals * h.config.Interval, Coalesce: true,
			MultiHop: true, MinimumTTL: 1, // nodes may have routers in between, and packets are authentic
		}
	}
	h.speaker.Set(sessions)
}

// Changed receives after States has changed by something else than time, and see Await.
func (h *Heartbeats) Changed() <-chan struct{} { return h.speaker.Changed() }

// States returns what heartbeats say of the neighbours, and when to ask again although nothing
// changes; zero if never. Neighbours are missing that were not heard yet, or have stopped on
// purpose. A silence counts for two seconds: by then the gossip has found out what has become of a
// member that is dead.
func (h *Heartbeats) States(now time.Time) (states map[string]State, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	states = map[string]State{}
	known := h.watched
	h.watched = make(map[string]*watched, len(known))
	var failed error
	for _, s := range h.speaker.Sessions() {
		w := known[s.Name]
		if w == nil {
			w = &watched{}
		}
		h.watched[s.Name] = w
		if w.update(s) {
			w.silentSince, w.heard = h.silentFrom(now), s.Since.Add(-s.LastDetection)
		}
		ends := w.silentSince.Add(silenceFor)
		switch {
		case s.Overdue:
			states[s.Name] = Late
		case s.State == bfd.Init || s.State == bfd.Up:
			states[s.Name] = Heard
		case now.Before(w.silentSince):
			next = earlier(next, w.silentSince)
		case !w.silentSince.IsZero() && now.Before(ends):
			states[s.Name] = Silent
			next = earlier(next, ends)
		}
		if errors.Is(s.Err, bfd.ErrPortTaken) {
			failed = s.Err
		}
	}
	h.report(failed)
	return states, next
}

// update takes note of how the session is doing, and returns whether it has fallen silent. Only one that was up can.
func (w *watched) update(s bfd.Status) (silent bool) {
	if s.State != bfd.Down {
		w.silentSince, w.heard = time.Time{}, time.Time{}
	}
	silent = s.State == bfd.Down && s.Failures > w.failures && s.Diagnostic == bfd.DetectionTimeExpired
	w.failures = s.Failures
	return silent
}

// silentFrom is, under mu, from when on a silence counts that was noticed now. What is missing soon after Forget may have come before.
func (h *Heartbeats) silentFrom(now time.Time) time.Time {
	if from := h.forgotten.Add(multiplier * h.config.Interval); from.After(now) {
		return from
	}
	return now
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Forget has nothing that is known so far count as a silence: this process has not run, so that it
// may have missed heartbeats. Who is not heard from now on is silent as soon as so many heartbeats are missing anew.
func (h *Heartbeats) Forget(now time.Time) {
	h.States(now)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgotten = now
	for _, w := range h.watched {
		if !w.silentSince.IsZero() {
			w.silentSince = h.silentFrom(now)
		}
	}
}

// LastHeard returns when the last heartbeat came of a neighbour that States has said to be Silent; zero if it was not.
func (h *Heartbeats) LastHeard(name string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.watched[name]; w != nil {
		return w.heard
	}
	return time.Time{}
}

// Await has Changed receive when a heartbeat of a neighbour comes after a time, which is about now.
func (h *Heartbeats) Await(name string, after time.Time) { h.speaker.Await(name, after) }

// LastArrival returns when the last heartbeat came of a neighbour, in any state; zero if none did.
func (h *Heartbeats) LastArrival(name string) time.Time {
	for _, s := range h.speaker.Sessions() {
		if s.Name == name {
			return s.LastReceived
		}
	}
	return time.Time{}
}

// report logs, under mu, that heartbeats cannot be received, or can again.
func (h *Heartbeats) report(err error) {
	if (err == nil) != (h.err == nil) {
		h.config.Logger.Info("Whether heartbeats can be received has changed", "port", h.config.Port, "err", err)
	}
	h.err = err
}

// Leave tells the neighbours that what follows is no failure.
func (h *Heartbeats) Leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left.IsZero() {
		h.left = time.Now()
		h.speaker.Set(nil)
	}
}

// Run sends and receives until the context ends. It then calls Leave, and returns nil once the neighbours have been told. It returns
// an error if it cannot begin.
func (h *Heartbeats) Run(ctx context.Context) error {
	background, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), h.config.Logger.V(2)))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		h.Leave()
		time.AfterFunc(time.Until(h.left.Add(multiplier*h.config.Interval)), stop)
	})()
	return h.speaker.Run(background)
}
