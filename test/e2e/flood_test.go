package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

const (
	// floodFrames is how many packets each flood has, and floodConnections how many connections.
	floodFrames, floodConnections = 50_000, 5_000
	// mostFloodLines is how many lines an announcer may log because of all floods together. Those of gossip keep members from being heard,
	// which is news each time: how often depends on how long the flood takes.
	mostFloodLines = 500
	heartbeatPort  = 7950
	bgpPort        = 179
)

var floods = flag.Bool("flood", false, "run the test of floods, which needs a machine that is not busy with anything else")

// TestAFloodOfPacketsCostsNoAddress has a host on the LAN send packets as fast as it can, valid ones and others. Nodes announce addresses
// of both families on layer 2, and one by BGP, with BFD. Clients use them all the time.
func TestAFloodOfPacketsCostsNoAddress(t *testing.T) {
	if !*floods {
		t.Skip("it needs the machine for itself: make flood runs it")
	}
	d := deploy(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{ipv4, ipv6}})
	router := d.startRouter(" neighbor nodes bfd profile fast")
	fleet := d.newFleet(2)
	d.applyYAML(routedPool + "---" + routedAdvertisement + "---" + watchedPeer + "---" + fastProfile)
	d.loadBalancer("routed", annotate("clarionlb.io/address-pool", "routed"))
	route := hostRoute(d.awaitAddress("routed"))
	router.awaitHops(route, "n1", "n2", "n3")
	d.awaitBFDUp("tor")
	flooder, err := d.AddHost("flooder", 102)
	if err != nil {
		t.Fatal(err)
	}
	f := &flood{
		fleet: fleet, router: router, route: route, flooder: flooder, random: rand.New(rand.NewPCG(1, 2)),
		held: map[*cluster.Node]install.Usage{}, logged: d.announcerLines(),
	}
	for _, node := range d.Nodes() {
		if f.held[node], err = install.AnnouncerUsage(d.ctx, node); err != nil {
			t.Fatal(err)
		}
	}
	f.of("questions by ARP", f.askFor(false))
	f.of("damaged ARP", f.damaged(f.askFor(false)))
	f.of("neighbour solicitations", f.askFor(true))
	f.of("damaged neighbour solicitations", f.damaged(f.askFor(true)))
	f.of("gossip", f.gossip)
	f.of("heartbeats", f.heartbeats)
	f.of("BFD", f.bfd)
	f.of("segments of TCP to the ports of BGP and of the gossip", f.segments)
	f.during("a flood of connections to the port of the gossip", f.surviving(f.connections))
	t.Run("nothing is left of the floods", f.run(f.gone))
}

// flood is a fleet with a route by BGP, and a host that sends it more than it needs.
type flood struct {
	*fleet
	router  *router
	route   netip.Prefix
	flooder *network.Host
	random  *rand.Rand
	// held is what the announcers held before, and logged how many lines were in each of their logs.
	held   map[*cluster.Node]install.Usage
	logged map[string]int
}

// of sends a flood of frames, each made by next.
func (f *flood) of(what string, next func() []byte) {
	f.during("a flood of "+what, f.surviving(func(o *observation) {
		frames := make([][]byte, floodFrames)
		for i := range frames {
			frames[i] = next()
		}
		began := time.Now()
		if err := f.flooder.Send(o.ctx, "eth0", frames); err != nil {
			o.t.Fatal(err)
		}
		o.t.Logf("%d packets a second", int(floodFrames/time.Since(began).Seconds()))
	}))
}

// surviving is a scenario in which a flood moves no address, breaks no session, and keeps no client from an answer.
func (f *flood) surviving(send func(*observation)) func(*observation) {
	return func(o *observation) {
		w := &watchedPaths{o.deployment, f.router.in(o.deployment), f.route}
		before := w.sessions("tor")
		sameRoute := w.router.unchangedRoutes(f.route)
		clients := o.connect(append(slices.Clone(o.addresses), f.route.Addr()))
		send(o)
		for _, address := range o.addresses {
			answers := o.settledAnswers(address)
			if answers.Moves() != 0 || answers.MostAtOnce() != 1 {
				o.t.Errorf("%s of %s was disturbed: %s", address, o.owners[address].Name, o.named(answers.String()))
			}
			o.t.Logf("%s: %d of %d questions without an answer, the longest gap is %s", address, answers.Unanswered(), len(answers.Questions), answers.LongestGap())
		}
		clients.lostNothing()
		w.expectSameSessions(before)
		w.awaitBFDUp("tor")
		sameRoute()
	}
}

// gone expects that the floods have cost no announcer its life, no memory that is kept, few lines in the logs, and no conflict.
func (f *flood) gone(d *deployment) {
	pods, err := d.Kubernetes().CoreV1().Pods("clarion-system").List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.RestartCount != 0 {
				d.t.Errorf("%s was restarted %d times: %+v", pod.Name, container.RestartCount, container.LastTerminationState)
			}
		}
	}
	announcers, err := d.Clarion.ClarionV1alpha1().Announcers().List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, announcer := range announcers.Items {
		if conflicts := announcer.Status.Layer2.Conflicts; len(conflicts) > 0 {
			d.t.Errorf("%s has recorded %+v", announcer.Name, conflicts)
		}
	}
	for _, node := range d.Nodes() {
		d.awaitAnnouncerMetrics(node, `clarion_announcer_bfd_failures_total{address="192.168.10.1",peer="tor"} 0`)
		d.refusedBFD(node)
	}
	d.eventually("goroutines, descriptors and memory to be given back", func(ctx context.Context) (err error) {
		for _, node := range d.Nodes() {
			now, nodeErr := install.AnnouncerUsage(ctx, node)
			if before := f.held[node]; nodeErr == nil && now.Exceeds(before) {
				nodeErr = fmt.Errorf("the announcer of %s holds %+v, and before %+v", node.Name, now, before)
			}
			err = errors.Join(err, nodeErr)
		}
		return err
	})
	for log, lines := range d.announcerLines() {
		if more := lines - f.logged[log]; more > mostFloodLines {
			d.t.Errorf("%s has got %d lines", log, more)
		} else {
			d.t.Logf("%s has got %d lines", filepath.Base(log), more)
		}
	}
}

// refusedBFD expects that the announcer of a node has refused packets in the name of the router: the flood has arrived.
func (d *deployment) refusedBFD(node *cluster.Node) {
	d.t.Helper()
	const refused = `clarion_announcer_bfd_packets_total{address="192.168.10.1",direction="refused",peer="tor"} `
	metrics, err := node.Run(d.ctx, "curl", "--silent", "--show-error", "http://127.0.0.1:7948/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	if !strings.Contains(metrics, "\n"+refused) || strings.Contains(metrics, "\n"+refused+"0\n") {
		d.t.Errorf("%s has refused no BFD packets", node.Name)
	}
}

// announcerLines is how many lines there are in the log of each announcer.
func (d *deployment) announcerLines() map[string]int {
	d.t.Helper()
	logs, err := filepath.Glob(filepath.Join(d.LogDir(), "*", "clarion-system_announcer-*.log"))
	if err != nil || len(logs) != len(d.Nodes()) {
		d.t.Fatalf("the logs of the announcers are %v: %v", logs, err)
	}
	lines := map[string]int{}
	for _, log := range logs {
		content, err := os.ReadFile(log)
		if err != nil {
			d.t.Fatal(err)
		}
		lines[log] = bytes.Count(content, []byte("\n"))
	}
	return lines
}

// askFor returns questions of hosts that do not exist, every other one for an address of a Service, the others for any that is none of
// a host's.
func (f *flood) askFor(six bool) func() []byte {
	var asked []netip.Addr
	for _, address := range f.addresses {
		if address.Is6() == six {
			asked = append(asked, address)
		}
	}
	return func() []byte {
		address := asked[f.random.IntN(len(asked))]
		low, high := byte(f.random.Uint32()), byte(f.random.Uint32())
		source := netip.AddrFrom4([4]byte{198, 18, high, low}) // RFC 2544
		if six {
			source = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 0xf1, 14: high, 15: low})
		}
		if f.random.IntN(2) == 0 {
			other := address.AsSlice()
			other[len(other)-1] = 128 + low%128
			address, _ = netip.AddrFromSlice(other)
		}
		frame, err := network.WhoHas(address, source, f.flooder.MAC("eth0"))
		if err != nil {
			panic(err) // both addresses are of one family
		}
		return frame
	}
}

// damaged returns what has become of frames.
func (f *flood) damaged(next func() []byte) func() []byte {
	return func() []byte { return network.Damage(f.random, next()) }
}

// pick returns one of the nodes.
func (f *flood) pick() *cluster.Node { return f.Nodes()[f.random.IntN(len(f.Nodes()))] }

// to returns a node's end of a path.
func (f *flood) to(node *cluster.Node, port uint16) network.Endpoint {
	return network.Endpoint{MAC: node.MAC("eth0"), AddrPort: netip.AddrPortFrom(node.Address("eth0", false), port)}
}

// from returns an end of a path from which the flooder sends, in its own name or in that of another host. The ports are few, as each
// makes an entry in the node's table of connections.
func (f *flood) from(inNameOf *network.Host) network.Endpoint {
	port := 49152 + uint16(f.random.IntN(256))
	return network.Endpoint{MAC: f.flooder.MAC("eth0"), AddrPort: netip.AddrPortFrom(inNameOf.Address("eth0", false), port)}
}

// sender is in whose name the next packet is sent: every other time in the flooder's own.
func (f *flood) sender(other *network.Host) *network.Host {
	if f.random.IntN(2) == 0 {
		return f.flooder
	}
	return other
}

// gossip returns garbage, of which one half begins as the gossip of members does.
func (f *flood) gossip() []byte {
	payload := network.Garbage(f.random, 1400)
	if f.random.IntN(2) == 0 {
		const labelled, label = 244, "clarion"
		payload = slices.Concat([]byte{labelled, byte(len(label))}, []byte(label), payload)
	}
	return network.UDP(f.from(f.sender(f.pick().Host)), f.to(f.pick(), gossipPort), payload)
}

// heartbeats returns garbage, and heartbeats that are authenticated with a key which nobody knows.
func (f *flood) heartbeats() []byte {
	payload := network.Garbage(f.random, 100)
	if f.random.IntN(2) == 0 {
		const authentication, flag, section = 200, 1 << 2, 24
		payload = f.control(flag)
		payload[3] += section
		payload = append(payload, authentication, section)
		for len(payload) < int(payload[3]) {
			payload = append(payload, byte(f.random.Uint32()))
		}
	}
	return network.UDP(f.from(f.sender(f.pick().Host)), f.to(f.pick(), heartbeatPort), payload)
}

// bfd returns garbage, and control packets that are right but for the discriminators, to the ports of one hop and of several.
func (f *flood) bfd() []byte {
	payload := network.Garbage(f.random, 100)
	if f.random.IntN(2) == 0 {
		payload = f.control(0)
	}
	ports := [...]uint16{3784, 4784}
	return network.UDP(f.from(f.sender(f.Router)), f.to(f.pick(), ports[f.random.IntN(len(ports))]), payload)
}

// control returns a control packet of BFD (RFC 5880, section 4.1) that says that its sender is down. Every other one knows no
// discriminator of the receiver, the others guess it.
func (f *flood) control(flags byte) []byte {
	const version, multiplier, length = 1, 3, 24
	state := byte(f.random.IntN(2)) // AdminDown, Down
	packet := []byte{version << 5, state<<6 | flags, multiplier, length}
	packet = binary.BigEndian.AppendUint32(packet, 1+f.random.Uint32()>>1)
	packet = binary.BigEndian.AppendUint32(packet, f.random.Uint32()*uint32(f.random.IntN(2)))
	for range 2 {
		packet = binary.BigEndian.AppendUint32(packet, 100_000) // µs
	}
	return append(packet, 0, 0, 0, 0)
}

// segments returns segments of TCP that are of no connection. Those in the name of the router are to ports from which nodes may have
// connections to it.
func (f *flood) segments() []byte {
	kinds := [...]byte{network.SYN, network.PSH | network.ACK, network.RST, network.SYN | network.ACK}
	flags := kinds[f.random.IntN(len(kinds))]
	var payload []byte
	if flags&network.PSH != 0 {
		payload = network.Garbage(f.random, 1000)
	}
	ports := [...]uint16{bgpPort, gossipPort}
	from, to := f.from(f.flooder), f.to(f.pick(), ports[f.random.IntN(len(ports))])
	if f.random.IntN(2) == 0 {
		const firstEphemeral, lastEphemeral = 32768, 60999
		from.AddrPort = netip.AddrPortFrom(f.Router.Address("eth0", false), bgpPort)
		to.AddrPort = netip.AddrPortFrom(to.Addr(), firstEphemeral+uint16(f.random.IntN(lastEphemeral-firstEphemeral+1)))
	}
	return network.TCP(from, to, flags, f.random.Uint32(), payload)
}

// connections opens connections to the port of the gossip, writes garbage to them and resets them.
func (f *flood) connections(o *observation) {
	for range floodConnections {
		conn, err := f.flooder.DialContext(o.ctx, "tcp", f.to(f.pick(), gossipPort).String())
		if err != nil {
			o.t.Fatal(err)
		}
		conn.Write(network.Garbage(f.random, 1000)) // it may have been closed
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}
