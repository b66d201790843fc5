package speaker

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

// gobgpConnection is one life of a GoBGP server: it carries one session and is given up when that
// ends. What comes before, up to where both OPENs have been compared, is not left to GoBGP: see
// gobgp_handshake.go.
type gobgpConnection struct {
	server *server.BgpServer
	peer   bgp.Peer
	// secret is the identifier by which the relay knows this server.
	secret netip.Addr
	// address of the peer.
	address netip.Addr
	// relay is where GoBGP connects to; nil before dial.
	relay   *relay
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup
	// sent are UPDATE messages, and told the routes in them.
	sent, told atomic.Uint64
	signal     notify.Signal
	// begun is closed by begin.
	begun chan struct{}
	// quiet says that the connection is to end at once, and not by GoBGP.
	quiet atomic.Bool
	// carrying says that GoBGP has the session, so that it tells of its end, and ended that it has.
	carrying, ended atomic.Bool

	mu      sync.Mutex
	pending []event
}

// openGoBGP starts a server that has no routes yet and does not dial.
func openGoBGP(peer bgp.Peer, address netip.Addr, logger klog.Logger) (connection, error) {
	c := &gobgpConnection{
		peer: peer, secret: newSecret(), address: address, signal: notify.New(),
		begun: make(chan struct{}),
	}
	c.server = server.NewBgpServer(server.LoggerOption(slog.New(&logReader{connection: c, logger: logger}), nil))
	go c.server.Serve()
	c.ctx, c.stop = context.WithCancel(context.Background())
	if err := c.start(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// start readies the server. GoBGP writes package variables here that other servers read, the rules
// for choosing between paths; it is always the same that is written, and no server here has a
// choice. Its identifier is known to nobody else, so that the relay knows it by that.
func (c *gobgpConnection) start() error {
	ctx := c.ctx
	err := c.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn:        c.peer.LocalASN,
		RouterId:   c.secret.String(),
		ListenPort: -1,
		Families:   []uint32{0, 1}, // the indices of IPv4 and IPv6 unicast, which decide how much memory it takes
	}})
	if err != nil {
		return err
	}
	// What the peer sends must not compete with what is announced. The policy is asked about both.
	if err := c.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: &api.Policy{Name: "own", Statements: []*api.Statement{{
		Name:       "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}}); err != nil {
		return err
	}
	if err := c.server.AddPolicyAssignment(ctx, &api.AddPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name:          "global",
		Direction:     api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies:      []*api.Policy{{Name: "own"}},
		DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}}); err != nil {
		return err
	}
	return c.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnPeerUpdate: c.watch}, server.WatchPeer())
}

func (c *gobgpConnection) dial(restart restartState) error {
	relay, err := listenRelay(c.secret)
	if err != nil {
		return err
	}
	if err := c.server.AddPeer(c.ctx, &api.AddPeerRequest{Peer: apiPeer(c.peer, relay.address())}); err != nil {
		relay.close()
		return err
	}
	c.relay = relay
	c.running.Go(func() {
		defer relay.close()
		var problem bgp.Problem
		if failed := guard.Run("bgp", c.address.String(), func() { problem = c.run(relay, restart) }); failed != nil {
			problem = bgp.Problem{Kind: bgp.StartFailed, Detail: failed.Error()}
		}
		if !c.carrying.Load() {
			c.emit(event{state: bgp.Idle, problem: problem})
		}
	})
	return nil
}

func (c *gobgpConnection) begin() { close(c.begun) }

func (c *gobgpConnection) announce(routes []bgp.Route, hops nextHops) error {
	_, err := c.server.AddPath(apiutil.AddPathRequest{Paths: c.paths(routes, hops)})
	return err
}

func (c *gobgpConnection) withdraw(routes []bgp.Route) error {
	return c.server.DeletePath(apiutil.DeletePathRequest{Paths: c.paths(routes, anyNextHops)})
}

func (c *gobgpConnection) updates() uint64 { return c.sent.Load() }

func (c *gobgpConnection) announced() uint64 { return c.told.Load() }

// watch is told by GoBGP of the states of the session.
func (c *gobgpConnection) watch(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	guard.Run("bgp", c.address.String(), func() { c.handle(e) })
}

func (c *gobgpConnection) handle(e *apiutil.WatchEventMessage_PeerEvent) {
	if e.Type != apiutil.PEER_EVENT_STATE {
		return
	}
	switch state := e.Peer.State; {
	case state.SessionState == gobgp.BGP_FSM_ESTABLISHED:
		c.carrying.Store(true)
		c.emit(event{state: bgp.Established})
	case state.SessionState == gobgp.BGP_FSM_IDLE && c.carrying.Load():
		c.ended.Store(true)
		c.emit(event{state: bgp.Idle, problem: disconnected(state.DisconnectReason)})
	}
}

// disconnected says why a session ended, where GoBGP's log does not say more.
func disconnected(reason api.PeerState_DisconnectReason) bgp.Problem {
	switch reason {
	case api.PeerState_DISCONNECT_REASON_HOLD_TIMER_EXPIRED:
		return bgp.Problem{Kind: bgp.HoldTimerExpired}
	case api.PeerState_DISCONNECT_REASON_READ_FAILED, api.PeerState_DISCONNECT_REASON_GRACEFUL_RESTART:
		return bgp.Problem{Kind: bgp.ConnectionClosed}
	case api.PeerState_DISCONNECT_REASON_WRITE_FAILED:
		return bgp.Problem{Kind: bgp.ConnectionBroken}
	}
	return bgp.Problem{}
}

// emit leaves an event to be fetched. It does not wait, since GoBGP holds locks meanwhile.
func (c *gobgpConnection) emit(e event) {
	c.mu.Lock()
	c.pending = append(c.pending, e)
	c.mu.Unlock()
	c.signal.Notify()
}

func (c *gobgpConnection) changed() <-chan struct{} { return c.signal }

func (c *gobgpConnection) events() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.pending
	c.pending = nil
	return events
}

// ceaseTimeout is how long a peer may take to accept a NOTIFICATION.
const ceaseTimeout = 2 * time.Second

func (c *gobgpConnection) cease(reason string) {
	const most = 128 // RFC 8203; RFC 9003 allows more, which not every peer takes
	if len(reason) > most {
		reason = reason[:most]
	}
	if c.server.DisablePeer(context.Background(), &api.DisablePeerRequest{Address: relayHost, Communication: reason}) == nil {
		c.awaitIdle()
	}
	c.shutdown()
}

// awaitIdle waits until the session has ended.
func (c *gobgpConnection) awaitIdle() {
	late := time.NewTimer(ceaseTimeout)
	defer late.Stop()
	for {
		for _, e := range c.events() {
			if e.state == bgp.Idle {
				return
			}
		}
		select {
		case <-c.signal:
		case <-late.C:
			return
		}
	}
}

func (c *gobgpConnection) close() {
	c.quiet.Store(!c.ended.Load())
	c.shutdown()
}

// shutdown waits for GoBGP's OPEN, which comes within a second of dial. GoBGP v4.8.0 forgets what it is called when it stops, while
// another goroutine of it may make its OPEN of that, and dereferences nil then (outgoingConnManager.run of pkg/server/fsm.go).
func (c *gobgpConnection) shutdown() {
	if c.relay != nil {
		c.relay.await(openTimeout)
	}
	// These fail only where the server has not come up.
	_ = c.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: true})
	c.stop()
	c.server.Stop()
	c.running.Wait()
}
