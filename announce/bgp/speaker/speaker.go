package speaker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// Config is what a Speaker is made of.
type Config struct {
	// Restarted says that another Speaker has run on this node before and that what it announced
	// can still be reached by way of the node. Peers that have kept its routes are then asked to
	// use them until they have the new ones (RFC 4724). It must be false after a boot of the node:
	// until all is ready again, what it announced before would go nowhere.
	Restarted bool
	// Logger for what happens to sessions, and at higher verbosity for what GoBGP does. The zero
	// Logger is silent.
	Logger klog.Logger
}

// Speaker announces routes to BGP peers.
type Speaker struct {
	config  Config
	began   time.Time
	changed notify.Signal
	wake    notify.Signal

	// What sessions need of the machine. Tests have their own.
	open     openConnection
	findPath findPath
	discover discover
	removals watchRemovals

	mu        sync.Mutex
	neighbors map[bgp.SessionKey]*neighbor
	suspended map[bgp.SessionKey]bgp.Problem
	// host has the node's own addresses.
	host bgp.Host
	// closeReason is for sessions that are not wanted any more, and shutdownMessage for the end of Run.
	closeReason     string
	shutdownMessage string
}

// New returns a Speaker that has no sessions.
func New(config Config) *Speaker {
	return &Speaker{
		config:    config,
		began:     time.Now(),
		changed:   notify.New(),
		wake:      notify.New(),
		open:      openGoBGP,
		findPath:  kernelPath,
		discover:  discoverByRA,
		removals:  kernelRemovals,
		neighbors: map[bgp.SessionKey]*neighbor{},
	}
}

// Set says which peers to have sessions with, by a key for each, and which routes are announced to
// each. It replaces what was set before: sessions that serve their Peer are left alone, and of the
// routes only the differences go over the wire. It does not wait for any of that.
//
// Neither the routes nor their Attributes may be changed after they were given to Set. Giving it
// the same slice again costs nothing; one in the order of its prefixes (netip.Prefix.Compare) costs
// a comparison, any other is sorted first.
//
// Before the first Set no peer is dialled. It should come when the routes are complete: a peer that
// has kept the routes of an earlier session drops those that it is not told again.
func (s *Speaker) Set(peers map[bgp.SessionKey]bgp.Peer, routes map[bgp.SessionKey][]bgp.Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	added := false
	for key, peer := range peers {
		n := s.neighbors[key]
		if n == nil {
			n = newNeighbor(s, key)
			s.neighbors[key] = n
			added = true
		}
		n.set(peer, routes[key])
	}
	for key, n := range s.neighbors {
		if _, ok := peers[key]; !ok {
			n.remove(s.closeReason)
		}
	}
	if added {
		s.wake.Notify()
	}
}

// SetHost says what the node's own addresses are. The next hops of routes follow from them: on
// sessions that there are, routes are announced with another one, or withdrawn without one. Before
// it is called, nothing has a next hop.
func (s *Speaker) SetHost(host bgp.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host.Equal(host) {
		return
	}
	s.host = host
	for _, n := range s.neighbors {
		n.wake.Notify()
	}
}

func (s *Speaker) currentHost() bgp.Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host
}

// SetCloseReason says why sessions end that Set leaves out from now on, in at most 128 bytes: their
// peers are told by a Cease (RFC 9003).
func (s *Speaker) SetCloseReason(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeReason = reason
}

// SetShutdownMessage says why this node will not be back soon when Run ends, in at most 128 bytes:
// then peers that keep the routes over a restart are told as well. Empty is that it will be.
func (s *Speaker) SetShutdownMessage(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdownMessage = reason
}

// finalNotification is what peers are told when Run ends, and whether those are told nothing that
// keep the routes.
func (s *Speaker) finalNotification() (reason string, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.shutdownMessage, "stopped"), s.shutdownMessage == ""
}

// Suspend keeps these sessions closed until it is called without them: something that BGP does not
// see has to be well first. For each it is told what. Those that are established are lost by that.
// Called before Set, it suspends sessions from their beginning.
func (s *Speaker) Suspend(suspended map[bgp.SessionKey]bgp.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if maps.Equal(suspended, s.suspended) {
		return
	}
	s.suspended = maps.Clone(suspended)
	for key, n := range s.neighbors {
		n.suspend(suspended[key])
	}
}

// Reset has a session lost that is established, because of something that BGP does not see. The
// peer is told, if it can be, so that it does not keep the routes either; and it is dialled again
// as after any other loss.
func (s *Speaker) Reset(key bgp.SessionKey, why bgp.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.neighbors[key]; n != nil {
		n.reset(why)
	}
}

// Peers returns what is seen on the sessions, in the order of their keys.
func (s *Speaker) Peers() []bgp.PeerStatus {
	s.mu.Lock()
	neighbors := slices.Collect(maps.Values(s.neighbors))
	s.mu.Unlock()
	var peers []bgp.PeerStatus
	for _, n := range neighbors {
		if status, ok := n.currentStatus(); ok {
			peers = append(peers, status)
		}
	}
	slices.SortFunc(peers, func(a, b bgp.PeerStatus) int { return a.Key.Compare(b.Key) })
	return peers
}

// Changed receives after Peers has changed in more than Updates; several changes may come as one.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Run keeps the sessions up until the context ends, and then returns nil. Peers that keep the
// routes over a restart are left without a NOTIFICATION, so that they do, unless there is a
// shutdown message; the others are told that this node goes.
func (s *Speaker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		guard.Retry(ctx, "bgp", "", func() { s.removals(ctx, s.config.Logger, s.addressGone) })
	})
	for {
		s.mu.Lock()
		for _, n := range s.neighbors {
			if !n.running {
				n.running = true
				running.Go(func() { n.runAgain(ctx) })
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
