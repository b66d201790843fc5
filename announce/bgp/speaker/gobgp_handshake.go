package speaker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// gobgpPatience is how long a connection waits for a peer to accept: GoBGP, whose OPEN waits, loses
// patience after 240 s.
const gobgpPatience = 200 * time.Second

// bgpVersion is that of BGP (RFC 4271, section 4.2).
const bgpVersion = 4

// farewellTimeout is how long a peer may take to read the last message.
const farewellTimeout = time.Second

// run has the session from dialling to its end. It returns what kept it from being established, or
// no problem if it was or is to be tried again.
func (c *gobgpConnection) run(via *relay, restart restartState) bgp.Problem {
	patience, stop := context.WithTimeout(c.ctx, gobgpPatience)
	defer stop()
	conn := c.connect(patience)
	if conn == nil {
		return bgp.Problem{}
	}
	defer conn.Close()
	own, open, err := via.gobgp(c.ctx)
	if err != nil {
		return bgp.Problem{Kind: bgp.StartFailed, Detail: err.Error()}
	}
	abort := context.AfterFunc(c.ctx, func() { conn.Close() })
	opens, problem := c.handshake(conn, open, restart)
	if !abort() || problem.Kind != bgp.NoProblem {
		return problem
	}
	if _, err := own.Write(opens); err != nil {
		return bgp.Problem{Kind: bgp.StartFailed, Detail: err.Error()}
	}
	pass(c.ctx, own, conn, c.filter(), func() time.Duration {
		if c.quiet.Load() {
			return 0
		}
		return farewellTimeout
	})
	return bgp.Problem{}
}

// connect dials until the peer accepts, and returns nil if the context ends before.
func (c *gobgpConnection) connect(ctx context.Context) *net.TCPConn {
	for {
		// Peers that have failed together are not to be dialled together (RFC 4271, section 10).
		interval := time.Duration((0.75 + rand.Float64()/4) * float64(c.peer.EffectiveConnectTime()))
		next := time.NewTimer(interval)
		conn, err := dialPeer(ctx, c.peer, c.address)
		switch {
		case err == nil:
			next.Stop()
			return conn
		case ctx.Err() == nil:
			c.emit(event{problem: noConnection(c.peer, err)})
		}
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
	}
}

// noConnection says why a peer could not be dialled. A host that gets segments with another
// password than its own drops them (RFC 2385).
func noConnection(peer bgp.Peer, err error) bgp.Problem {
	problem := bgp.Problem{Kind: bgp.NoConnection, Detail: err.Error()}
	var failure net.Error
	if peer.Password != "" && errors.As(err, &failure) && failure.Timeout() {
		problem.Kind = bgp.PasswordSuspected
	}
	return problem
}

// handshake has both sides say who they are and what they can do, and holds the session back until
// begin is called. It returns what the peer has said, for GoBGP to read.
func (c *gobgpConnection) handshake(conn *net.TCPConn, open *gobgp.BGPMessage, restart restartState) ([]byte, bgp.Problem) {
	if err := sendOpen(conn, open, c.peer.RouterID, restart); err != nil {
		return nil, bgp.Problem{Kind: bgp.ClosedBeforeOpen}
	}
	c.emit(event{state: bgp.OpenSent})
	raw, problem := c.receive(conn, bgp.SubcodeOpenSent, func(m *gobgp.BGPMessage) (bool, bgp.Problem) {
		received, ok := m.Body.(*gobgp.BGPOpen)
		if !ok {
			return false, bgp.Problem{}
		}
		if refusal, problem := judge(c.peer, received); refusal != nil {
			return true, c.refuse(conn, refusal, problem)
		}
		if send(conn, gobgp.NewBGPKeepAliveMessage()) != nil {
			return true, bgp.Problem{Kind: bgp.ConnectionBroken}
		}
		c.emit(event{state: bgp.OpenConfirm, negotiated: negotiate(c.peer, conn, open.Body.(*gobgp.BGPOpen), received)})
		return true, bgp.Problem{}
	})
	if problem.Kind != bgp.NoProblem {
		return nil, problem
	}
	more, problem := c.receive(conn, bgp.SubcodeOpenConfirm, func(m *gobgp.BGPMessage) (bool, bgp.Problem) {
		return m.Header.Type == gobgp.BGP_MSG_KEEPALIVE, bgp.Problem{}
	})
	if problem.Kind != bgp.NoProblem {
		return nil, problem
	}
	select {
	case <-c.begun:
		return append(raw, more...), bgp.Problem{}
	case <-c.ctx.Done():
		return nil, bgp.Problem{}
	}
}

// receive reads the next message of the peer, which is to be one that take takes, and returns it as
// it is. unexpected is the subcode that another one is refused with (RFC 6608).
func (c *gobgpConnection) receive(conn *net.TCPConn, unexpected uint8, take func(*gobgp.BGPMessage) (bool, bgp.Problem)) ([]byte, bgp.Problem) {
	message, raw, err := readBGP(conn)
	var malformed *gobgp.MessageError
	switch {
	case errors.As(err, &malformed):
		return nil, c.refuse(conn, malformed, bgp.Problem{Kind: bgp.MalformedMessage, Detail: malformed.Message})
	case err != nil && unexpected == bgp.SubcodeOpenSent:
		return nil, bgp.Problem{Kind: bgp.ClosedBeforeOpen}
	case err != nil:
		return nil, bgp.Problem{Kind: bgp.ClosedAfterOpen}
	}
	if n, ok := message.Body.(*gobgp.BGPNotification); ok {
		return nil, bgp.Problem{Kind: bgp.Refused, Notification: bgp.ReadNotification(n.ErrorCode, n.ErrorSubcode, n.Data)}
	}
	taken, problem := take(message)
	if !taken {
		refusal := &gobgp.MessageError{TypeCode: bgp.CodeFSMError, SubTypeCode: unexpected}
		return nil, c.refuse(conn, refusal, bgp.Problem{Kind: bgp.MalformedMessage, Detail: fmt.Sprintf("a message of type %d, which was not its turn", message.Header.Type)})
	}
	return raw, problem
}

// refuse sends the peer a NOTIFICATION, and returns the problem.
func (c *gobgpConnection) refuse(conn *net.TCPConn, why *gobgp.MessageError, problem bgp.Problem) bgp.Problem {
	if send(conn, gobgp.NewBGPNotificationMessage(why.TypeCode, why.SubTypeCode, why.Data)) == nil {
		c.say(conn)
	}
	return problem
}

// say gives the peer the time to read what was sent to it last.
func (c *gobgpConnection) say(conn *net.TCPConn) {
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(farewellTimeout))
	buffer := make([]byte, gobgp.BGP_MAX_MESSAGE_LENGTH)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// sendOpen sends GoBGP's OPEN in the name of this node. GoBGP knows but one bit for a restart, and
// keeps it set for good.
func sendOpen(conn net.Conn, open *gobgp.BGPMessage, id netip.Addr, restart restartState) error {
	body := *open.Body.(*gobgp.BGPOpen)
	body.ID = id
	for _, capability := range capabilities(&body) {
		graceful, ok := capability.(*gobgp.CapGracefulRestart)
		if !ok {
			continue
		}
		const restarted, preserved = 0x8, 0x80
		graceful.Flags &^= restarted
		if restart.restarted {
			graceful.Flags |= restarted
		}
		for _, family := range graceful.Tuples {
			family.Flags &^= preserved
			if restart.preserved {
				family.Flags |= preserved
			}
		}
	}
	return send(conn, &gobgp.BGPMessage{Header: gobgp.BGPHeader{Type: gobgp.BGP_MSG_OPEN}, Body: &body})
}

func send(conn net.Conn, message *gobgp.BGPMessage) error {
	b, err := message.Serialize()
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}

// judge says what is wrong with an OPEN: what the peer is told, and what people are. It returns nil
// if nothing is.
func judge(peer bgp.Peer, open *gobgp.BGPOpen) (*gobgp.MessageError, bgp.Problem) {
	asn := asnOf(open)
	openError := func(subcode uint8) *gobgp.MessageError {
		return &gobgp.MessageError{TypeCode: gobgp.BGP_ERROR_OPEN_MESSAGE_ERROR, SubTypeCode: subcode}
	}
	switch {
	case open.Version != bgpVersion: // the largest one that this side knows goes with it (RFC 4271, section 6.2)
		refusal := openError(gobgp.BGP_ERROR_SUB_UNSUPPORTED_VERSION_NUMBER)
		refusal.Data = []byte{0, bgpVersion}
		return refusal, bgp.Problem{Kind: bgp.MalformedMessage, Detail: fmt.Sprintf("version %d of BGP", open.Version)}
	case peer.PeerASN == 0 && asn == peer.LocalASN:
		return openError(gobgp.BGP_ERROR_SUB_BAD_PEER_AS), bgp.Problem{Kind: bgp.UnexpectedInternal}
	case peer.PeerASN != 0 && asn != peer.PeerASN:
		return openError(gobgp.BGP_ERROR_SUB_BAD_PEER_AS), bgp.Problem{Kind: bgp.UnexpectedASN, ASN: asn, ExpectedASN: peer.PeerASN}
	case open.ID.IsUnspecified() || open.ID == peer.RouterID && asn == peer.LocalASN: // RFC 6286
		return openError(gobgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER), bgp.Problem{Kind: bgp.BadIdentifier, Address: open.ID}
	case time.Duration(open.HoldTime)*time.Second < bgp.MinHoldTime:
		// RFC 4271 lets this side refuse 0 as well: a router that is gone would never be noticed.
		return openError(gobgp.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME), bgp.Problem{Kind: bgp.UnacceptableHoldTime, Detail: fmt.Sprintf("%d s", open.HoldTime)}
	}
	return nil, bgp.Problem{}
}

// negotiate says what both have offered.
func negotiate(peer bgp.Peer, conn *net.TCPConn, own, received *gobgp.BGPOpen) negotiated {
	n := negotiated{local: conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone(""), peerASN: asnOf(received), peerID: received.ID}
	var extended bool
	n.families, extended, n.gracefulRestart = offers(received)
	offered, canExtend, canRestart := offers(own)
	n.families &= offered
	n.extendedNextHop = extended && canExtend
	n.gracefulRestart = n.gracefulRestart && canRestart
	return n
}

// offers reads the capabilities of an OPEN.
func offers(open *gobgp.BGPOpen) (families bgp.Families, extendedNextHop, gracefulRestart bool) {
	multiprotocol := false
	for _, capability := range capabilities(open) {
		switch capability := capability.(type) {
		case *gobgp.CapMultiProtocol:
			multiprotocol = true
			families |= ownFamily(capability.CapValue)
		case *gobgp.CapExtendedNexthop:
			for _, t := range capability.Tuples {
				if t.NLRIAFI == gobgp.AFI_IP && t.NLRISAFI == gobgp.SAFI_UNICAST && t.NexthopAFI == gobgp.AFI_IP6 {
					extendedNextHop = true
				}
			}
		case *gobgp.CapGracefulRestart:
			gracefulRestart = true
		}
	}
	if !multiprotocol {
		families = bgp.IPv4 // RFC 4760, section 8
	}
	return families, extendedNextHop, gracefulRestart
}

func capabilities(open *gobgp.BGPOpen) []gobgp.ParameterCapabilityInterface {
	var all []gobgp.ParameterCapabilityInterface
	for _, parameter := range open.OptParams {
		if p, ok := parameter.(*gobgp.OptionParameterCapability); ok {
			all = append(all, p.Capability...)
		}
	}
	return all
}

// asnOf is the autonomous system that an OPEN names (RFC 6793).
func asnOf(open *gobgp.BGPOpen) uint32 {
	for _, capability := range capabilities(open) {
		if four, ok := capability.(*gobgp.CapFourOctetASNumber); ok {
			return four.CapValue
		}
	}
	return uint32(open.MyAS)
}
