package speaker

import (
	"context"
	"fmt"
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

// connection is one life of a GoBGP server: it dials one router until there is a session, and is given up when that ends. It
// is the only thing that knows GoBGP, but for what it logs.
type connection struct {
	server  *server.BgpServer
	peer    bgp.Peer
	address netip.Addr
	stop    context.CancelFunc
	updates atomic.Uint64
	// news receives after there is something to take.
	news notify.Signal

	mu     sync.Mutex
	events []event
}

// event is something that happened on a connection.
type event struct {
	// state that was reached. It is empty if only err happened.
	state bgp.State
	// err is what went wrong.
	err string
	// limit says that the router has sent more routes than it may.
	limit bool
	// session is what was agreed; it is set with Established.
	session session
}

// session is what was agreed with a router.
type session struct {
	peerASN  uint32
	peerID   netip.Addr
	families bgp.Families
	// extendedNextHop says that IPv4 routes may have an IPv6 next hop.
	extendedNextHop bool
	gracefulRestart bool
}

// deferral is how long to wait for a router that has restarted us: RFC 4724 lets one that was restarted hear all before it
// speaks. What we say does not depend on it, so it is short.
const deferral = 2 * time.Second

// open starts a server that has no routes yet and does not dial.
func open(peer bgp.Peer, address netip.Addr, logger klog.Logger) (*connection, error) {
	c := &connection{peer: peer, address: address, news: notify.New()}
	c.server = server.NewBgpServer(server.LoggerOption(slog.New(&listener{connection: c, logger: logger}), nil))
	go c.server.Serve()
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if err := c.start(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("start GoBGP: %w", err)
	}
	return c, nil
}

// start readies the server. GoBGP writes package variables here that other servers read, the rules for choosing between paths;
// it is always the same that is written, and no server here has a choice.
func (c *connection) start(ctx context.Context) error {
	err := c.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn:        c.peer.LocalASN,
		RouterId:   c.peer.RouterID.String(),
		ListenPort: -1,
		Families:   []uint32{0, 1}, // the indices of IPv4 and IPv6 unicast, which decide how much memory it takes
	}})
	if err != nil {
		return err
	}
	// What the router sends must not compete with what is announced. The policy is asked about both.
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
	return c.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnPeerUpdate: c.notice}, server.WatchPeer())
}

// dial begins to connect. restarted asks a router that has kept routes of an earlier session to use them until it has
// heard all of this one.
func (c *connection) dial(restarted bool) error {
	p := c.peer
	peer := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: c.address.String(),
			LocalAsn:        p.LocalASN,
			PeerAsn:         p.PeerASN,
			AuthPassword:    p.Password,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:          uint64(p.EffectiveHoldTime() / time.Second),
			KeepaliveInterval: uint64(p.EffectiveKeepaliveTime() / time.Second),
			ConnectRetry:      uint64(p.EffectiveConnectTime() / time.Second),
		}},
		Transport: &api.Transport{
			RemotePort:    uint32(p.Port),
			BindInterface: p.Interface,
			IpTos:         tosInternetworkControl,
		},
	}
	if p.Source.IsValid() {
		peer.Transport.LocalAddress = p.Source.String()
	}
	if p.MultihopTTL != 0 {
		peer.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.MultihopTTL)}
	}
	if p.SecurityHops != 0 {
		peer.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 256 - uint32(p.SecurityHops)}
	}
	if p.RestartTime != 0 {
		// Not with notifications (RFC 8538): a router whose hold time expires, because the node is dead, would keep the
		// routes then. And GoBGP's Hard Reset lacks the part that says what it stands for, which FRR 8.4 reads anyway.
		peer.GracefulRestart = &api.GracefulRestart{
			Enabled:         true,
			RestartTime:     uint32(p.RestartTime / time.Second),
			DeferralTime:    uint32(deferral / time.Second),
			LocalRestarting: restarted,
		}
	}
	for _, f := range []bgp.Families{bgp.IPv4, bgp.IPv6} {
		if p.OfferedFamilies()&f == 0 {
			continue
		}
		af := &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: apiFamily(f), Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.RestartTime != 0}},
		}
		if p.MaxPrefixes != 0 {
			af.PrefixLimits = &api.PrefixLimit{Family: apiFamily(f), MaxPrefixes: p.MaxPrefixes}
		}
		peer.AfiSafis = append(peer.AfiSafis, af)
	}
	if err := c.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: peer}); err != nil {
		return fmt.Errorf("dial %s: %w", c.address, err)
	}
	return nil
}

// tosInternetworkControl is DSCP CS6, which routers give precedence to.
const tosInternetworkControl = 0xc0

// announce adds or replaces routes, which have a next hop.
func (c *connection) announce(routes []bgp.Route, hops hops) error {
	if len(routes) == 0 {
		return nil
	}
	_, err := c.server.AddPath(apiutil.AddPathRequest{Paths: c.paths(routes, hops)})
	if err != nil {
		return fmt.Errorf("announce routes: %w", err)
	}
	return nil
}

// withdraw removes routes.
func (c *connection) withdraw(routes []bgp.Route) error {
	if len(routes) == 0 {
		return nil
	}
	if err := c.server.DeletePath(apiutil.DeletePathRequest{Paths: c.paths(routes, anyHops)}); err != nil {
		return fmt.Errorf("withdraw routes: %w", err)
	}
	return nil
}

// notice is told by GoBGP how a session comes along.
func (c *connection) notice(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	if e.Type != apiutil.PEER_EVENT_STATE {
		return
	}
	state := e.Peer.State
	switch state.SessionState {
	case gobgp.BGP_FSM_ESTABLISHED:
		c.happen(event{state: bgp.Established, session: agreed(c.peer, state)})
	case gobgp.BGP_FSM_OPENSENT:
		c.happen(event{state: bgp.OpenSent})
	case gobgp.BGP_FSM_OPENCONFIRM:
		c.happen(event{state: bgp.OpenConfirm})
	case gobgp.BGP_FSM_IDLE:
		c.happen(event{state: bgp.Idle, err: ending(state.DisconnectReason)})
	default:
		c.happen(event{state: bgp.Connect})
	}
}

// agreed reads what both have offered.
func agreed(peer bgp.Peer, state apiutil.PeerState) session {
	s := session{peerASN: state.PeerASN, peerID: state.RouterID}
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

// ending says why a session ended, where GoBGP's log does not say more.
func ending(reason api.PeerState_DisconnectReason) string {
	switch reason {
	case api.PeerState_DISCONNECT_REASON_HOLD_TIMER_EXPIRED:
		return "the router fell silent: hold time expired"
	case api.PeerState_DISCONNECT_REASON_READ_FAILED, api.PeerState_DISCONNECT_REASON_GRACEFUL_RESTART:
		return "the router closed the connection without a word"
	case api.PeerState_DISCONNECT_REASON_WRITE_FAILED:
		return "the connection broke"
	case api.PeerState_DISCONNECT_REASON_INVALID_MSG:
		return refusal
	}
	return ""
}

// happen leaves an event to be taken. It does not wait, since GoBGP holds locks meanwhile.
func (c *connection) happen(e event) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
	c.news.Notify()
}

// take returns what has happened since the last time.
func (c *connection) take() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}

// patience is how long a router may take to accept the last word.
const patience = 2 * time.Second

// cease ends a session with a Cease that says why, as administrative shutdown (RFC 9003), and then everything.
func (c *connection) cease(reason string) {
	const most = 128 // RFC 8203; RFC 9003 allows more, which not every router takes
	if len(reason) > most {
		reason = reason[:most]
	}
	if c.server.DisablePeer(context.Background(), &api.DisablePeerRequest{Address: c.address.String(), Communication: reason}) == nil {
		c.awaitIdle()
	}
	c.close()
}

// awaitIdle waits until the session has ended.
func (c *connection) awaitIdle() {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		for _, e := range c.take() {
			if e.state == bgp.Idle {
				return
			}
		}
		select {
		case <-c.news:
		case <-late.C:
			return
		}
	}
}

// close ends everything, without a word to a router that will keep the routes.
func (c *connection) close() {
	// These fail only where the server has not come up.
	_ = c.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: true})
	c.stop()
	c.server.Stop()
}

func apiFamily(f bgp.Families) *api.Family {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if f == bgp.IPv6 {
		family.Afi = api.Family_AFI_IP6
	}
	return family
}

func bgpFamily(f bgp.Families) gobgp.Family {
	if f == bgp.IPv6 {
		return gobgp.RF_IPv6_UC
	}
	return gobgp.RF_IPv4_UC
}

func ownFamily(f gobgp.Family) bgp.Families {
	switch f {
	case gobgp.RF_IPv4_UC:
		return bgp.IPv4
	case gobgp.RF_IPv6_UC:
		return bgp.IPv6
	}
	return 0
}
