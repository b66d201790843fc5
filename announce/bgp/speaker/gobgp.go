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
	"github.com/clarionlb/clarion/internal/notify"
)

// gobgpConnection is one life of a GoBGP server: it dials one peer until there is a session, and is
// given up when that ends.
type gobgpConnection struct {
	server  *server.BgpServer
	peer    bgp.Peer
	address netip.Addr
	stop    context.CancelFunc
	sent    atomic.Uint64
	signal  notify.Signal

	mu      sync.Mutex
	pending []event
}

// deferralTime is the Selection_Deferral_Timer (RFC 4724, section 4.1): one that was restarted may
// hear all before it speaks. What this side says does not depend on it, so it is short.
const deferralTime = 2 * time.Second

// openGoBGP starts a server that has no routes yet and does not dial.
func openGoBGP(peer bgp.Peer, address netip.Addr, logger klog.Logger) (connection, error) {
	c := &gobgpConnection{peer: peer, address: address, signal: notify.New()}
	c.server = server.NewBgpServer(server.LoggerOption(slog.New(&logReader{connection: c, logger: logger}), nil))
	go c.server.Serve()
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if err := c.start(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// start readies the server. GoBGP writes package variables here that other servers read, the rules
// for choosing between paths; it is always the same that is written, and no server here has a
// choice.
func (c *gobgpConnection) start(ctx context.Context) error {
	err := c.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn:        c.peer.LocalASN,
		RouterId:   c.peer.RouterID.String(),
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

func (c *gobgpConnection) dial(restarting bool) error {
	return c.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: apiPeer(c.peer, c.address, restarting)})
}

func (c *gobgpConnection) announce(routes []bgp.Route, hops nextHops) error {
	_, err := c.server.AddPath(apiutil.AddPathRequest{Paths: c.paths(routes, hops)})
	return err
}

func (c *gobgpConnection) withdraw(routes []bgp.Route) error {
	return c.server.DeletePath(apiutil.DeletePathRequest{Paths: c.paths(routes, anyNextHops)})
}

func (c *gobgpConnection) updates() uint64 { return c.sent.Load() }

// watch is told by GoBGP of the states of the session.
func (c *gobgpConnection) watch(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	if e.Type != apiutil.PEER_EVENT_STATE {
		return
	}
	state := e.Peer.State
	switch state.SessionState {
	case gobgp.BGP_FSM_ESTABLISHED:
		c.emit(event{state: bgp.Established, negotiated: negotiatedFrom(c.peer, state)})
	case gobgp.BGP_FSM_OPENSENT:
		c.emit(event{state: bgp.OpenSent})
	case gobgp.BGP_FSM_OPENCONFIRM:
		c.emit(event{state: bgp.OpenConfirm})
	case gobgp.BGP_FSM_IDLE:
		c.emit(event{state: bgp.Idle, problem: disconnected(state.DisconnectReason)})
	default:
		c.emit(event{state: bgp.Connect})
	}
}

// negotiatedFrom reads what both have offered.
func negotiatedFrom(peer bgp.Peer, state apiutil.PeerState) negotiated {
	s := negotiated{peerASN: state.PeerASN, peerID: state.RouterID}
	multiprotocol := false
	for _, capability := range state.RemoteCap {
		switch capability := capability.(type) {
		case *gobgp.CapMultiProtocol:
			multiprotocol = true
			s.families |= ownFamily(capability.CapValue)
		case *gobgp.CapExtendedNexthop:
			for _, t := range capability.Tuples {
				if t.NLRIAFI == gobgp.AFI_IP && t.NexthopAFI == gobgp.AFI_IP6 {
					s.extendedNextHop = true
				}
			}
		case *gobgp.CapGracefulRestart:
			s.gracefulRestart = peer.RestartTime != 0
		}
	}
	if !multiprotocol {
		s.families = bgp.IPv4 // RFC 4760, section 8
	}
	s.families &= peer.OfferedFamilies()
	return s
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
	case api.PeerState_DISCONNECT_REASON_INVALID_MSG:
		return bgp.Problem{Kind: bgp.Refused}
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
	if c.server.DisablePeer(context.Background(), &api.DisablePeerRequest{Address: c.address.String(), Communication: reason}) == nil {
		c.awaitIdle()
	}
	c.close()
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
	// These fail only where the server has not come up.
	_ = c.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: true})
	c.stop()
	c.server.Stop()
}
