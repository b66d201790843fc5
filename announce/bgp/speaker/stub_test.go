package speaker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/clarionlb/clarion/announce/bgp"
)

// stub answers at a port of a host in whatever way, each connection by a goroutine, until the test ends.
func (h *host) stub(at netip.AddrPort, serve func(net.Conn)) {
	h.t.Helper()
	var listener net.Listener
	h.In(func() error {
		var err error
		listener, err = net.Listen("tcp", at.String())
		return err
	})
	var mu sync.Mutex
	var conns []net.Conn
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	h.t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

// greet brings a session with autonomous system 65001 to where it is established.
func greet(conn net.Conn) error {
	if _, err := readMessage(conn); err != nil {
		return err
	}
	open, err := gobgp.NewBGPOpenMessage(65001, 90, netip.MustParseAddr("10.9.9.9"), []gobgp.OptionParameterInterface{
		gobgp.NewOptionParameterCapability([]gobgp.ParameterCapabilityInterface{
			gobgp.NewCapMultiProtocol(gobgp.RF_IPv4_UC), gobgp.NewCapMultiProtocol(gobgp.RF_IPv6_UC), gobgp.NewCapFourOctetASNumber(65001),
		}),
	})
	if err != nil {
		return err
	}
	for _, m := range []*gobgp.BGPMessage{open, gobgp.NewBGPKeepAliveMessage()} {
		if err := writeMessage(conn, m); err != nil {
			return err
		}
	}
	_, err = readMessage(conn)
	return err
}

func writeMessage(w io.Writer, m *gobgp.BGPMessage) error {
	b, err := m.Serialize()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// readMessage returns one, with its header.
func readMessage(r io.Reader) ([]byte, error) {
	header := make([]byte, gobgp.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(header[16:18]))
	if length < len(header) {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	body := make([]byte, length-len(header))
	_, err := io.ReadFull(r, body)
	return append(header, body...), err
}

// message is one of a kind with a body that may be anything.
func message(kind byte, body []byte) []byte {
	m := slices.Repeat([]byte{0xff}, 16)
	m = binary.BigEndian.AppendUint16(m, uint16(gobgp.BGP_HEADER_LENGTH+len(body)))
	return append(append(m, kind), body...)
}

// live says once in a second that the router lives, until the connection ends. It reads nothing.
func live(conn net.Conn) { liveUntil(conn, nil) }

// attend does so, and reads what comes.
func attend(conn net.Conn) {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, conn)
		close(ended)
	}()
	liveUntil(conn, ended)
}

func liveUntil(conn net.Conn, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for writeMessage(conn, gobgp.NewBGPKeepAliveMessage()) == nil {
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

// stubs puts stubs on a host, one for each of the functions, and returns Peers for them.
func stubs(t testing.TB, serve ...func(net.Conn)) map[bgp.SessionKey]bgp.Peer {
	t.Helper()
	site := newSite(t)
	peers := map[bgp.SessionKey]bgp.Peer{}
	for i, f := range serve {
		p := site.peer()
		p.Port = uint16(1000 + i)
		site.stub(netip.AddrPortFrom(site.v4, p.Port), f)
		peers[key(fmt.Sprintf("stub-%d", i))] = p
	}
	return peers
}
