package speaker

import (
	"io"
	"net/netip"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/internal/guard"
)

// filter passes on to GoBGP what the peer says. GoBGP reads in a goroutine of its own, where a panic
// cannot be recovered and ends the process, layer 2 with it. So each message is read here first, with
// the same code: one on which that panics ends the session, and is not passed on.
//
// Routes are not passed on either, since nobody uses them, unless there is a limit on how many the
// peer may send. GoBGP gets a KEEPALIVE in their place, and the ends of the routes (RFC 4724).
type filter struct {
	countsRoutes bool
	// peer is its address.
	peer netip.Addr
	// failed is told what the reading of a message panicked with.
	failed func(*guard.Panic)
}

// copy passes on until the peer has nothing more to say or GoBGP takes no more. It returns false if
// it ends because a message fails.
func (f filter) copy(own io.Writer, peer io.Reader) bool {
	for {
		raw := make([]byte, gobgp.BGP_HEADER_LENGTH)
		n, err := io.ReadFull(peer, raw)
		header := &gobgp.BGPHeader{}
		if err != nil || header.DecodeFromBytes(raw) != nil || header.Len > gobgp.BGP_MAX_MESSAGE_LENGTH {
			// GoBGP refuses it, and tells the peer why.
			_, _ = own.Write(raw[:n])
			_, _ = io.Copy(own, peer)
			return true
		}
		raw = append(raw, make([]byte, int(header.Len)-len(raw))...)
		if n, err = io.ReadFull(peer, raw[gobgp.BGP_HEADER_LENGTH:]); err != nil {
			_, _ = own.Write(raw[:gobgp.BGP_HEADER_LENGTH+n])
			return true
		}
		var message []byte
		if p := guard.Do("message", f.peer, func() { message = f.message(header, raw) }); p != nil {
			f.failed(p)
			return false
		}
		if _, err = own.Write(message); err != nil {
			return true
		}
	}
}

// message is what GoBGP gets in place of a message. What is malformed it gets as it is, so that it
// refuses it as the protocol says.
func (f filter) message(header *gobgp.BGPHeader, raw []byte) []byte {
	message, err := gobgp.ParseBGPBody(header, append([]byte{}, raw[gobgp.BGP_HEADER_LENGTH:]...))
	if err != nil || f.countsRoutes {
		return raw
	}
	if update, is := message.Body.(*gobgp.BGPUpdate); is {
		if end, _ := update.IsEndOfRib(); !end {
			return keepalive
		}
	}
	return raw
}

// keepalive is a KEEPALIVE (RFC 4271, section 4.4).
var keepalive = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, gobgp.BGP_HEADER_LENGTH, gobgp.BGP_MSG_KEEPALIVE,
}

// unreadable is what is said of a message that fails.
const unreadable = "a message on which Clarion failed, which is a fault of Clarion's: please report this with the log"

// filter is that of the session.
func (c *gobgpConnection) filter() filter {
	return filter{c.peer.MaxPrefixes != 0, c.address, func(p *guard.Panic) {
		guard.Report("bgp", c.address.String(), p)
		c.emit(event{problem: bgp.Problem{Kind: bgp.MalformedMessage, Detail: unreadable}})
	}}
}
