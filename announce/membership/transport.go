package membership

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clarionlb/clarion/internal/guard"
)

const (
	// maxStreams and maxStreamsFrom bound how many TCP connections from others are open at a time, of all nodes and of one. A member
	// opens one every ten seconds, and one to each member that does not answer by UDP.
	maxStreams, maxStreamsFrom = 128, 4
	// maxStreamSize bounds what is read from a connection, in bytes: the state of some 10,000 members.
	maxStreamSize = 2 << 20
)

// label goes before each packet and stream, so that other users of memberlist are not taken for members.
const label = "clarion"

// transport is memberlist's, for nodes alone: what comes from other addresses is dropped before it is read, and each node can
// have only so much of this one's memory. Without it, any pod could have memberlist hold 20 MiB for each connection, without
// knowing the key.
type transport struct {
	*memberlist.NetTransport
	cluster *Cluster
	packets chan *memberlist.Packet
	streams chan net.Conn
	stopped chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// open counts the streams of each node.
	open  map[netip.Addr]int
	total int
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport listens. It is stopped by Shutdown.
func newTransport(c *Cluster, config *memberlist.Config) (*transport, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{config.BindAddr}, BindPort: config.BindPort, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	t := &transport{
		NetTransport: inner,
		cluster:      c,
		packets:      make(chan *memberlist.Packet),
		streams:      make(chan net.Conn),
		stopped:      make(chan struct{}),
		open:         map[netip.Addr]int{},
	}
	t.running.Go(t.filterPackets)
	t.running.Go(t.filterStreams)
	return t, nil
}

// PacketCh receives the packets that come from nodes.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh receives the connections that come from nodes.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown closes the sockets.
func (t *transport) Shutdown() error {
	err := t.NetTransport.Shutdown()
	close(t.stopped)
	t.running.Wait()
	return err
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

func (t *transport) filterPackets() {
	for {
		select {
		case packet := <-t.NetTransport.PacketCh():
			if from := addressOf(packet.From); !t.cluster.nodes.has(from) {
				t.cluster.noteStranger(from)
				continue
			}
			select {
			case t.packets <- packet:
			case <-t.stopped:
				return
			}
		case <-t.stopped:
			return
		}
	}
}

func (t *transport) filterStreams() {
	for {
		select {
		case conn := <-t.NetTransport.StreamCh():
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
		case <-t.stopped:
			return
		}
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

// nodeSet is the addresses of the cluster's nodes, from which gossip is accepted.
type nodeSet struct {
	own netip.Addr

	mu sync.RWMutex
	// known says that addresses are known. Before, everybody counts as a node.
	known     bool
	addresses map[netip.Addr]struct{}
}

// SetNodes says which addresses the nodes of the cluster have. Gossip from others is dropped, and members at others are not
// believed in. Before the first call all are accepted. This node's own address need not be among them.
func (c *Cluster) SetNodes(addresses []netip.Addr) {
	set := make(map[netip.Addr]struct{}, len(addresses))
	for _, address := range addresses {
		set[address] = struct{}{}
	}
	c.nodes.mu.Lock()
	defer c.nodes.mu.Unlock()
	c.nodes.known, c.nodes.addresses = true, set
}

func (s *nodeSet) has(address netip.Addr) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, known := s.addresses[address]
	return !s.known || known || address == s.own
}

// admission is the Cluster as memberlist's AliveDelegate: it says who may be a member.
type admission struct{ *Cluster }

// NotifyAlive refuses members whose address is no node's.
func (a admission) NotifyAlive(peer *memberlist.Node) error {
	return guard.Try("gossip", peer.Name, func() error { return a.admit(peer) })
}

func (a admission) admit(peer *memberlist.Node) error {
	address, _ := netip.AddrFromSlice(slices.Clone(peer.Addr))
	if address = address.Unmap(); !a.nodes.has(address) {
		return fmt.Errorf("%s is the address of no node", address)
	}
	return nil
}
