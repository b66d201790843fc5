package membership

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/notify"
)

// DefaultPort is the TCP and UDP port of the gossip.
const DefaultPort = 7947

// Config is what a Cluster is made of.
type Config struct {
	// Name of this member, unique in the cluster, of at most 255 bytes.
	Name string
	// Address of this node. The Cluster listens on it, and the others reach it there.
	Address netip.Addr
	// Port for TCP and UDP, the same on all members. 0 is DefaultPort.
	Port int
	// Key that the members share, of a size that gossipkey.Check accepts. It may also be given to SetKey before Run.
	Key []byte
	// Logger for what happens to members, and at higher verbosity for what the gossip does. The zero Logger is silent.
	Logger klog.Logger
}

// Cluster says which announcers are alive.
type Cluster struct {
	config  Config
	changed notify.Signal
	joined  chan struct{}
	joins   joinState
	keys    keys
	timing  timing
	session []byte
	// leaveQueue are passed on.
	leaveQueue memberlist.TransmitLimitedQueue
	rejected   rejectedSenders
	sending    sync.WaitGroup

	mu sync.Mutex
	// list is there while the Cluster runs, and notices were not asked for yet.
	list     *memberlist.Memberlist
	messages []Message
	// members are those that have been in sight, but for this one.
	members map[string]*member
}

// member is what is known of another member.
type member struct {
	alive   bool
	address netip.Addr
	session []byte
	// left says that the session has ended, or is about to, on purpose.
	left     bool
	lastSeen time.Time
}

// New returns a Cluster that has only itself in sight until it runs.
func New(config Config) *Cluster {
	if config.Port == 0 {
		config.Port = DefaultPort
	}
	c := &Cluster{
		config:  config,
		changed: notify.New(),
		joined:  make(chan struct{}),
		joins:   newJoinState(),
		keys:    newKeys(),
		timing:  lanTiming,
		session: newSession(),
		members: map[string]*member{},
	}
	c.SetKey(config.Key) // if that is none, Run says so
	c.leaveQueue.RetransmitMult = retransmits
	c.leaveQueue.NumNodes = func() int { return len(c.Alive()) }
	return c
}

// Alive returns the names of the members in sight, this one included, sorted. One that is only suspected to be dead is
// still in sight.
func (c *Cluster) Alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := []string{c.config.Name}
	for name, m := range c.members {
		if m.alive {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Left says whether a member that is out of sight has said before that it leaves: it was stopped and did not die. It is false
// for members in sight and for those never seen.
func (c *Cluster) Left(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	return m != nil && !m.alive && m.left
}

// LastSeen returns when this member last had a proof of life of another: it answered, or news came that it joined, came back
// or was about to leave. Each member is asked by each other only once in as many probe intervals as there are others, so the
// time from then until it is out of sight is the most that it can have taken to notice. Zero is never.
func (c *Cluster) LastSeen(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[name]; m != nil {
		return m.lastSeen
	}
	return time.Time{}
}

// Changed receives after Alive or Left has changed, a notice has arrived or a stranger has come up; several changes may come as one.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

// Joined is closed once, after the first SetPeers, every peer is in sight or has been tried and did not answer. What Alive
// says before that may be what a member sees that has just woken up. Peers that answer in a key that is not known here are
// waited for as long as a change of keys may take.
func (c *Cluster) Joined() <-chan struct{} { return c.joined }

// Run takes part in the gossip until the context ends; it then tells the others that it leaves and returns nil, within
// about a second. An address or port that cannot be listened on, or that there is no key, is an error.
func (c *Cluster) Run(ctx context.Context) error {
	if len(c.keys.ring.GetKeys()) == 0 {
		if err := c.SetKey(c.config.Key); err != nil {
			return fmt.Errorf("gossip without a key: %w", err)
		}
	}
	list, err := memberlist.Create(c.memberlistConfig())
	if err != nil {
		return fmt.Errorf("gossip on %s port %d: %w", c.config.Address, c.config.Port, err)
	}
	c.setList(list)
	defer c.sending.Wait()
	defer c.setList(nil)
	var turning sync.WaitGroup
	turning.Go(func() { c.rotateKeys(ctx) })
	defer turning.Wait()
	c.joinPeers(ctx, func(name string, address netip.Addr) error {
		_, err := list.Join([]string{name + "/" + netip.AddrPortFrom(address, uint16(c.config.Port)).String()})
		return err
	})

	const patience = 500 * time.Millisecond
	c.broadcastLeave(list)
	if err := list.Leave(patience); err != nil {
		c.config.Logger.V(2).Info("The other announcers may not have heard that this one leaves", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("end the gossip: %w", err)
	}
	return nil
}

func (c *Cluster) setList(list *memberlist.Memberlist) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = list
}

// aliveAt returns whether a member is in sight at that address.
func (c *Cluster) aliveAt(name string, address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	return m != nil && m.alive && m.address == address
}

// events is the Cluster as memberlist sees it.
type events struct{ *Cluster }

// NotifyJoin is for memberlist: a member came in sight.
func (s events) NotifyJoin(n *memberlist.Node) {
	if n.Name == s.config.Name {
		return
	}
	m := s.markAlive(n)
	s.config.Logger.Info("An announcer came in sight", "node", n.Name, "address", m.address)
	s.notifyChanged()
}

// NotifyUpdate is for memberlist: a member in sight is in another session. It has been started again before anybody noticed
// that it had died.
func (s events) NotifyUpdate(n *memberlist.Node) {
	if n.Name == s.config.Name {
		return
	}
	s.markAlive(n)
	s.config.Logger.Info("An announcer has been started again", "node", n.Name)
}

// markAlive returns what is known of a member that has just shown itself.
func (s events) markAlive(n *memberlist.Node) member {
	address, _ := netip.AddrFromSlice(n.Addr)
	m := &member{alive: true, address: address.Unmap(), session: bytes.Clone(n.Meta), lastSeen: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[n.Name] = m
	return *m
}

// NotifyLeave is for memberlist: a member died or left.
func (s events) NotifyLeave(n *memberlist.Node) {
	if n.Name == s.config.Name {
		return
	}
	s.mu.Lock()
	m := s.members[n.Name]
	m.alive = false
	left := m.left
	s.mu.Unlock()
	s.config.Logger.Info("An announcer went out of sight", "node", n.Name, "left", left)
	s.notifyChanged()
}

// AckPayload is for memberlist: nothing needs to be said with an answer.
func (events) AckPayload() []byte { return nil }

// NotifyPingComplete is for memberlist: a member has answered.
func (s events) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[n.Name]; m != nil {
		m.lastSeen = time.Now()
	}
}

func (c *Cluster) notifyChanged() {
	c.changed.Notify()
	c.joins.wake.Notify()
}
