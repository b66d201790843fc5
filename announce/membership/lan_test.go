package membership

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/clarionlb/clarion/internal/netnstest"
	"github.com/clarionlb/clarion/internal/notify"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// lan is a switch with nodes on it, each a network namespace.
type lan struct {
	t      testing.TB
	bridge *netlink.Bridge
	nodes  int
	// calm members do not take a member for dead that only waits for a busy processor.
	calm bool
	// heartbeats has members exchange heartbeats, too.
	heartbeats bool
}

func newLAN(t testing.TB) *lan {
	t.Helper()
	netnstest.NeedRoot(t)
	l := &lan{t: t, bridge: &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan"}}}
	must(t, netlink.LinkAdd(l.bridge))
	t.Cleanup(func() { netlink.LinkDel(l.bridge) })
	must(t, netlink.LinkSetUp(l.bridge))
	return l
}

// node is a machine on the LAN.
type node struct {
	t       testing.TB
	name    string
	address netip.Addr
	port    netlink.Link // of the switch
	host    *netnstest.Host
	calm    bool

	heartbeats bool
}

// node adds a machine to the LAN.
func (l *lan) node() *node {
	l.t.Helper()
	l.nodes++
	n := &node{t: l.t, name: fmt.Sprintf("node-%d", l.nodes), address: netip.AddrFrom4([4]byte{10, 0, 0, byte(l.nodes)}), calm: l.calm, heartbeats: l.heartbeats}
	n.host = netnstest.NewHost(l.t)

	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprintf("port%d", l.nodes), MasterIndex: l.bridge.Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(n.host.NS),
	}
	must(l.t, netlink.LinkAdd(veth))
	l.t.Cleanup(func() { netlink.LinkDel(veth) })
	n.port = veth
	n.connect()
	n.host.Up("eth0")
	n.host.Address("eth0", n.address.String()+"/24")
	return n
}

// run runs a command on the node and returns what it says. Nodes of a crowd are all in the namespace of the test.
func (n *node) run(name string, args ...string) string {
	n.t.Helper()
	var out []byte
	command := func() (err error) {
		if out, err = exec.Command(name, args...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%s %s on %s: %w: %s", name, strings.Join(args, " "), n.name, err, out)
		}
		return err
	}
	if n.host == nil {
		must(n.t, command())
	} else {
		n.host.In(command)
	}
	return string(out)
}

// disconnect pulls the cable at the switch, and connect plugs it in.
func (n *node) disconnect() {
	n.t.Helper()
	must(n.t, netlink.LinkSetDown(n.port))
}

func (n *node) connect() {
	n.t.Helper()
	must(n.t, netlink.LinkSetUp(n.port))
}

// deafTo has the node hear nothing more of another, which hears it still. What does not arrive is counted.
func (n *node) deafTo(other *node) {
	n.t.Helper()
	n.run("nft", fmt.Sprintf("add table inet deaf; add chain inet deaf in { type filter hook input priority 0 ; }; "+
		"add rule inet deaf in ip saddr %s counter drop", other.address))
}

// silence drops what the node of a crowd sends and receives, until wake is called.
func (n *node) silence() {
	n.t.Helper()
	n.run("nft", fmt.Sprintf("add table inet silence; add chain inet silence in { type filter hook input priority 0 ; }; "+
		"add rule inet silence in ip saddr %[1]s drop; add rule inet silence in ip daddr %[1]s drop", n.address))
}

func (n *node) wake() {
	n.t.Helper()
	n.run("nft", "delete table inet silence")
}

// missed returns how many packets were dropped after deafTo.
func (n *node) missed() int {
	n.t.Helper()
	_, text, _ := strings.Cut(n.run("nft", "list table inet deaf"), "counter packets ")
	text, _, _ = strings.Cut(text, " ")
	count, err := strconv.Atoi(text)
	must(n.t, err)
	return count
}

// members starts that many members on nodes of the LAN, and waits until they see each other.
func members(t testing.TB, l *lan, count int) ([]*node, []*process) {
	t.Helper()
	var nodes []*node
	for range count {
		nodes = append(nodes, l.node())
	}
	return nodes, startAll(nodes)
}

// crowd starts that many members on one node, each with an address of its own, and waits until they see each other. Nodes of
// a LAN share the kernel's table of neighbours, which is too small for many of them.
func crowd(t testing.TB, count int) ([]*node, []*process) {
	t.Helper()
	loopback(t)
	var nodes []*node
	for n := range count {
		nodes = append(nodes, &node{t: t, name: fmt.Sprintf("node-%d", n+1), address: local(n + 1)})
	}
	return nodes, startAll(nodes)
}

// startAll starts a member on each node, one after the other because they share this machine, and waits until they see each
// other.
func startAll(nodes []*node) []*process {
	var processes []*process
	for i, n := range nodes {
		p := n.start()
		p.setPeers(nodes[:i+1]...)
		p.awaitAlive(nodes[:i+1]...)
		processes = append(processes, p)
	}
	for _, p := range processes {
		p.setPeers(nodes...)
		p.awaitAlive(nodes...)
	}
	return processes
}

// process is a member that runs on a node.
type process struct {
	t     testing.TB
	node  *node
	cmd   *exec.Cmd
	stdin io.WriteCloser
	end   sync.Once

	changed  notify.Signal
	mu       sync.Mutex
	alive    []string
	left     []string
	rejected []string
	joined   bool
	log      []event
}

// event is a line that a process wrote, and when it came.
type event struct {
	at   time.Time
	line string
}

// start starts a member on the node.
func (n *node) start() *process {
	n.t.Helper()
	return n.startWith(testKey(1))
}

// startWith starts a member with that key.
func (n *node) startWith(key []byte) *process {
	n.t.Helper()
	p := &process{t: n.t, node: n, changed: notify.New(), alive: []string{n.name}}
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Env = append(os.Environ(), envMember+"="+n.name+"="+n.address.String(), envKey+"="+hex.EncodeToString(key), envCalm+"="+strconv.FormatBool(n.calm),
		envHeartbeats+"="+strconv.FormatBool(n.heartbeats))
	if testing.Verbose() {
		p.cmd.Stderr = os.Stderr
	}
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	must(n.t, err)
	stdout, err := p.cmd.StdoutPipe()
	must(n.t, err)
	if n.host != nil {
		n.host.In(p.cmd.Start)
	} else { // one of a crowd
		must(n.t, p.cmd.Start())
	}
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.handleLine(lines.Text())
		}
	}()
	n.t.Cleanup(p.kill)
	return p
}

func (p *process) handleLine(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, event{time.Now(), line})
	what, value, _ := strings.Cut(line, " ")
	switch what {
	case "alive":
		p.alive = strings.Fields(value)
	case "left":
		p.left = strings.Fields(value)
	case "rejected":
		p.rejected = strings.Fields(value)
	}
	p.joined = p.joined || line == "joined"
	p.changed.Notify()
}

// setPeers tells the process who its peers are.
func (p *process) setPeers(nodes ...*node) {
	p.t.Helper()
	peers := map[string]netip.Addr{}
	for _, n := range nodes {
		peers[n.name] = n.address
	}
	must(p.t, writePeers(p.stdin, peers))
}

// neverLost fails the test if the process took any of these nodes for dead after all of them were alive for the first time.
func (p *process) neverLost(nodes ...*node) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	met := false
	for _, e := range p.log {
		names, ok := strings.CutPrefix(e.line, "alive ")
		if !ok {
			continue
		}
		all := !slices.ContainsFunc(nodes, func(n *node) bool { return !slices.Contains(strings.Fields(names), n.name) })
		if met && !all {
			p.t.Errorf("%s saw only %s for a while", p.node.name, names)
		}
		met = met || all
	}
}

// use tells the process another key.
func (p *process) use(key []byte) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.stdin, "key", hex.EncodeToString(key))
	must(p.t, err)
}

// kill ends the process as a power cut would, except that the kernel goes on and refuses connections.
func (p *process) kill() {
	p.end.Do(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
}

// terminate asks the process to leave, and waits until it has.
func (p *process) terminate() {
	p.t.Helper()
	p.end.Do(func() {
		must(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
		must(p.t, p.cmd.Wait())
	})
}

// awaitAlive waits until exactly these nodes are alive to the process.
func (p *process) awaitAlive(nodes ...*node) {
	p.t.Helper()
	var want []string
	for _, n := range nodes {
		want = append(want, n.name)
	}
	slices.Sort(want)
	p.await(fmt.Sprintf("%v to be alive", want), func() bool { return slices.Equal(p.alive, want) })
}

// awaitLeft waits until the process knows that exactly these nodes have left.
func (p *process) awaitLeft(nodes ...*node) {
	p.t.Helper()
	var want []string
	for _, n := range nodes {
		want = append(want, n.name)
	}
	p.await(fmt.Sprintf("the news that %v left", want), func() bool { return slices.Equal(p.left, want) })
}

// awaitRejected waits until the process has rejected gossip of the node.
func (p *process) awaitRejected(n *node) {
	p.t.Helper()
	p.await(fmt.Sprintf("a rejected %s", n.address), func() bool { return slices.Contains(p.rejected, n.address.String()) })
}

// await waits until is, which is called with the process's state at rest.
func (p *process) await(what string, is func() bool) {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		ok := is()
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-p.changed:
		case <-timeout:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%s waits for %s, sees %v, knows that %v left and has rejected %v", p.node.name, what, p.alive, p.left, p.rejected)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
