package speaker

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/internal/guard"
)

// relay is where GoBGP connects to in place of the peer, so that nothing passes between them before
// both OPENs have been compared. It takes one connection, within two seconds or so, and listens no
// longer then.
type relay struct {
	listener *net.TCPListener
	secret   netip.Addr
	// once has one end of it all: that GoBGP is there, with its end of the session and its OPEN, or
	// that it will not be. done is closed then.
	once sync.Once
	done chan struct{}
	conn *net.TCPConn
	open *gobgp.BGPMessage
	err  error
}

// relayHost is the loopback address that relays listen on, each at a port of its own.
const relayHost = "127.0.0.1"

// openTimeout is how long whoever connects to a relay may take to send an OPEN.
const openTimeout = 5 * time.Second

// relayBuffer is how much may be on its way through a relay. What is there counts as sent for
// GoBGP, although the peer may not read.
const relayBuffer = 128 << 10

// newSecret returns a BGP Identifier that nobody can guess.
func newSecret() netip.Addr {
	var id [4]byte
	for id == [4]byte{} {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return netip.AddrFrom4(id)
}

// listenRelay returns a relay for the GoBGP server with this identifier. Others on the node can
// connect to it as well, but do not know that.
func listenRelay(secret netip.Addr) (*relay, error) {
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(relayHost), 0)))
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, secret: secret, done: make(chan struct{})}
	go r.serve()
	return r, nil
}

// serve accepts connections until one of them is GoBGP's or the listener is closed.
func (r *relay) serve() {
	var reading sync.WaitGroup
	for {
		conn, err := r.listener.AcceptTCP()
		if err != nil {
			reading.Wait()
			r.end(nil, nil, err)
			return
		}
		reading.Go(func() {
			if guard.Run("bgp", "", func() { r.greet(conn) }) != nil {
				conn.Close()
			}
		})
	}
}

// greet takes a connection if it is GoBGP's. Whoever says nothing holds up nobody else.
func (r *relay) greet(conn *net.TCPConn) {
	_ = conn.SetReadDeadline(time.Now().Add(openTimeout))
	if message, _, err := readBGP(conn); err == nil {
		if open, ok := message.Body.(*gobgp.BGPOpen); ok && open.ID == r.secret {
			_ = conn.SetReadDeadline(time.Time{})
			r.end(conn, message, nil)
			r.listener.Close()
			if r.conn == conn {
				return
			}
		}
	}
	conn.Close()
}

func (r *relay) address() netip.AddrPort { return r.listener.Addr().(*net.TCPAddr).AddrPort() }

// end notes what has come of it, if nothing has yet.
func (r *relay) end(conn *net.TCPConn, open *gobgp.BGPMessage, err error) {
	r.once.Do(func() {
		r.conn, r.open, r.err = conn, open, err
		close(r.done)
	})
}

// gobgp waits for GoBGP to connect, and returns its end and its OPEN.
func (r *relay) gobgp(ctx context.Context) (*net.TCPConn, *gobgp.BGPMessage, error) {
	select {
	case <-r.done:
		return r.conn, r.open, r.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// await waits until GoBGP is there or will not be, for so long at most.
func (r *relay) await(patience time.Duration) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-r.done:
	case <-late.C:
	}
}

// close ends the relay, and GoBGP's connection with it.
func (r *relay) close() {
	r.listener.Close()
	r.end(nil, nil, net.ErrClosed)
	if r.conn != nil {
		r.conn.Close()
	}
}

// pass passes on what GoBGP and the peer say until one of them has ended the connection, and then
// ends that of the other. When ctx ends, or when GoBGP has ended its own, the peer has the time
// farewell to read what was said last, such as a NOTIFICATION. What the peer says goes through a filter.
func pass(ctx context.Context, own, peer *net.TCPConn, filter filter, farewell func() time.Duration) {
	_ = own.SetReadBuffer(relayBuffer)
	_ = peer.SetWriteBuffer(relayBuffer)
	hurry := func() { _ = peer.SetDeadline(time.Now().Add(farewell())) }
	stop := context.AfterFunc(ctx, hurry)
	defer stop()
	toPeer := make(chan struct{})
	go func() {
		defer close(toPeer)
		_, _ = io.Copy(peer, own)
		hurry()
		_ = peer.CloseWrite()
	}()
	if !filter.copy(own, peer) {
		_ = own.CloseWrite() // GoBGP takes the peer for gone
	}
	// If it is GoBGP that is gone, this goes on until the peer is too: to close a connection with
	// unread bytes would take away what is on its way to the peer.
	_, _ = io.Copy(io.Discard, peer)
	_ = own.CloseWrite()
	hurry()
	<-toPeer
}

// readBGP reads a message, and returns it as it is too.
func readBGP(from io.Reader) (*gobgp.BGPMessage, []byte, error) {
	raw := make([]byte, gobgp.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(from, raw); err != nil {
		return nil, nil, err
	}
	header := &gobgp.BGPHeader{}
	if err := header.DecodeFromBytes(raw); err != nil {
		return nil, nil, err
	}
	if header.Len > gobgp.BGP_MAX_MESSAGE_LENGTH {
		return nil, nil, gobgp.NewMessageError(gobgp.BGP_ERROR_MESSAGE_HEADER_ERROR, gobgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, nil, "too large a message")
	}
	raw = append(raw, make([]byte, int(header.Len)-len(raw))...)
	if _, err := io.ReadFull(from, raw[gobgp.BGP_HEADER_LENGTH:]); err != nil {
		return nil, nil, err
	}
	message, err := gobgp.ParseBGPBody(header, bytes.Clone(raw[gobgp.BGP_HEADER_LENGTH:]))
	return message, raw, err
}
