package membership

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// maxStreams and maxStreamsFrom bound how many TCP connections from others are open at a time, of all nodes and of one. A member
	// opens one every ten seconds, and one to each member that does not answer by UDP.
	maxStreams, maxStreamsFrom = 128, 4
	// maxStreamSize bounds what is read from a connection, in bytes: the state of some 10,000 members.
	maxStreamSize = 2 << 20
	// maxDatagram is the size in bytes of the largest UDP packet, and receiveBuffer what the kernel is asked to keep of those that
	// were not read yet.
	maxDatagram, receiveBuffer = 1 << 16, 2 << 20
	// socketRetry is when a socket is tried again that has failed.
	socketRetry = 100 * time.Millisecond
)

// label goes before each packet and stream, so that other users of memberlist are not taken for members.
const label = "clarion"

// transport carries the packets and streams of memberlist, to and from nodes alone. What comes from other addresses is dropped before
// memory is spent on it, and each node can have only so much of this one's. With memberlist's own transport, any pod could have
// it hold 20 MiB for each connection and 64 KiB for each packet, without knowing the key.
type transport struct {
	cluster *Cluster
	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	stopped chan struct{}
	stop    sync.Once
	running sync.WaitGroup

	mu sync.Mutex
	// open counts the streams of each node.
	open  map[netip.Addr]int
	total int
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport listens. It is stopped by Shutdown.
func newTransport(c *Cluster) (*transport, error) {
	at := netip.AddrPortFrom(c.config.Address, uint16(c.config.Port))
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err == nil {
		err = udp.SetReadBuffer(receiveBuffer)
	}
	if err != nil {
		tcp.Close()
		return nil, err
	}
	t := &transport{
		cluster: c,
		udp:     udp,
		tcp:     tcp,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		stopped: make(chan struct{}),
		open:    map[netip.Addr]int{},
	}
	t.running.Go(t.readPackets)
	t.running.Go(t.acceptStreams)
	return t, nil
}

// FinalAdvertiseAddr is where others reach this node: where it listens.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.cluster.config.Address.AsSlice(), t.cluster.config.Port, nil
}

// PacketCh receives the packets that come from nodes.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh receives the connections that come from nodes.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown closes the sockets. It may be called more than once.
func (t *transport) Shutdown() (err error) {
	t.stop.Do(func() {
		close(t.stopped)
		err = errors.Join(t.udp.Close(), t.tcp.Close())
		t.running.Wait()
	})
	return err
}

// WriteTo sends a packet to an address and port, and returns when that was.
func (t *transport) WriteTo(packet []byte, address string) (time.Time, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.udp.WriteToUDPAddrPort(packet, to)
	return time.Now(), err
}

// WriteToAddress is WriteTo.
func (t *transport) WriteToAddress(packet []byte, address memberlist.Address) (time.Time, error) {
	return t.WriteTo(packet, address.Addr)
}

// DialTimeout connects from the node's own address, by which the others know it.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.cluster.config.Address, 0))}
	return dialer.Dial("tcp", address)
}

// DialAddressTimeout is DialTimeout.
func (t *transport) DialAddressTimeout(address memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(address.Addr, timeout)
}

func (t *transport) readPackets() {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		received := time.Now()
		if err != nil {
			if t.pause() {
				continue
			}
			return
		}
		if address := from.Addr().Unmap().WithZone(""); !t.cluster.nodes.has(address) {
			t.cluster.noteStranger(address)
			continue
		}
		if n == 0 { // memberlist reads the first byte
			continue
		}
		packet := &memberlist.Packet{Buf: bytes.Clone(buffer[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: received}
		select {
		case t.packets <- packet:
		case <-t.stopped:
			return
		}
	}
}

func (t *transport) acceptStreams() {
	for {
		conn, err := t.tcp.AcceptTCP()
		if err != nil {
			if t.pause() {
				continue
			}
			return
		}
		admitted, ok := t.admit(conn)
		if !ok {
			conn.Close()
			continue
		}
		select {
		case t.streams <- admitted:
		case <-t.stopped:
			admitted.Close()
			return
		}
	}
}

// pause waits after a socket has failed; false when it was closed on purpose.
func (t *transport) pause() bool {
	select {
	case <-time.After(socketRetry):
		return true
	case <-t.stopped:
		return false
	}
}

// admit returns a connection with limits; false if it comes from no node, or if there are too many.
func (t *transport) admit(conn net.Conn) (net.Conn, bool) {
	from := addressOf(conn.RemoteAddr())
	if !t.cluster.nodes.has(from) {
		t.cluster.noteStranger(from)
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total == maxStreams || t.open[from] == maxStreamsFrom {
		return nil, false
	}
	t.total++
	t.open[from]++
	return &stream{Conn: conn, left: maxStreamSize, release: sync.OnceFunc(func() { t.release(from) })}, true
}

func (t *transport) release(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	if t.open[from]--; t.open[from] == 0 {
		delete(t.open, from)
	}
}

// stream is a connection of which only so much is read.
type stream struct {
	net.Conn
	left    int
	release func()
}

// Read fails once the limit is reached.
func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, fmt.Errorf("more than %d bytes: %w", maxStreamSize, io.ErrUnexpectedEOF)
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close makes room for another stream.
func (s *stream) Close() error {
	s.release()
	return s.Conn.Close()
}

func addressOf(a net.Addr) netip.Addr {
	port, _ := netip.ParseAddrPort(a.String())
	return port.Addr().Unmap().WithZone("")
}
