package speaker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/notify"
)

// Config is what a Speaker is made of.
type Config struct {
	// Restarted says that another Speaker has run on this node before and that what it announced can still be reached by
	// way of the node. Routers that have kept its routes are then asked to use them until they have the new ones. It must
	// be false after a boot of the node: until all is ready again, what it announced before would go nowhere.
	Restarted bool
	// Logger for what happens to sessions, and at higher verbosity for what GoBGP does. The zero Logger is silent.
	Logger klog.Logger
}

// Speaker announces routes to routers.
type Speaker struct {
	config  Config
	changed notify.Signal
	wake    notify.Signal

	mu        sync.Mutex
	neighbors map[bgp.SessionKey]*neighbor
	held      map[bgp.SessionKey]string
	excuse    string
	leaving   string
}

// New returns a Speaker that speaks with nobody.
func New(config Config) *Speaker {
	return &Speaker{
		config:    config,
		changed:   notify.New(),
		wake:      notify.New(),
		neighbors: map[bgp.SessionKey]*neighbor{},
	}
}

// Set says which routers to speak with, by a key for each, and which routes each is told. It replaces what was set before:
// sessions whose Peer is the same are left alone, and of the routes only the differences go over the wire. It does not wait
// for any of that.
//
// Neither the routes nor their Attributes may be changed after they were given to Set. Giving it the same slice again costs
// nothing; one in the order of its prefixes (netip.Prefix.Compare) costs a comparison, any other is sorted first.
//
// Before the first Set no router is dialled. It should come when the routes are complete: a router that has kept the routes
// of an earlier session drops those that it is not told again.
func (s *Speaker) Set(peers map[bgp.SessionKey]bgp.Peer, routes map[bgp.SessionKey][]bgp.Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := false
	for key, peer := range peers {
		n := s.neighbors[key]
		if n == nil {
			n = newNeighbor(s, key)
			s.neighbors[key] = n
			fresh = true
		}
		n.set(peer, routes[key])
	}
	for key, n := range s.neighbors {
		if _, ok := peers[key]; !ok {
			n.leave(s.excuse)
		}
	}
	if fresh {
		s.wake.Notify()
	}
}

// SetCloseReason says why the routers that Set leaves out from now on are left, in at most 128 bytes: they are told by a Cease.
func (s *Speaker) SetCloseReason(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.excuse = reason
}

// SetShutdownMessage says why this node will not be back soon when Run ends, in at most 128 bytes: then routers that keep the routes for a restart
// are told as well. Empty is that it will be.
func (s *Speaker) SetShutdownMessage(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = reason
}

// lastWord is what routers are told when Run ends, and whether those are told nothing that keep the routes.
func (s *Speaker) lastWord() (reason string, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.leaving, "stopped"), s.leaving == ""
}

// Suspend keeps the sessions of these names closed until it is called without them: something that BGP does not see has to be well
// first. For each it is told what, as a sentence. Those that are established are lost by that. Called before Set, it holds
// sessions from their beginning.
func (s *Speaker) Suspend(held map[bgp.SessionKey]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if maps.Equal(held, s.held) {
		return
	}
	s.held = maps.Clone(held)
	for key, n := range s.neighbors {
		n.hold(held[key])
	}
}

// Reset has a session lost that is established, because of something that BGP does not see, with a sentence that says what. The
// router is told, if it can be, so that it does not keep the routes either; and it is dialled again as after any other loss.
func (s *Speaker) Reset(key bgp.SessionKey, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.neighbors[key]; n != nil {
		n.sever(why)
	}
}

// Peers returns what is seen on the sessions, in the order of their keys.
func (s *Speaker) Peers() []bgp.PeerStatus {
	s.mu.Lock()
	neighbors := slices.Collect(maps.Values(s.neighbors))
	s.mu.Unlock()
	var peers []bgp.PeerStatus
	for _, n := range neighbors {
		if status, ok := n.seen(); ok {
			peers = append(peers, status)
		}
	}
	slices.SortFunc(peers, func(a, b bgp.PeerStatus) int { return a.Key.Compare(b.Key) })
	return peers
}

// Changed receives after Peers has changed in more than Updates; several changes may come as one.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Run speaks until the context ends, and then returns nil. Routers that keep the routes for a restart are left without a word,
// so that they do, unless Leave was called; the others are told that this node goes.
func (s *Speaker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		s.mu.Lock()
		for _, n := range s.neighbors {
			if !n.running {
				n.running = true
				running.Go(func() { n.run(ctx) })
			}
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
	}
}
