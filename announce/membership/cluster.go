package membership

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"k8s.io/klog/v2"
)

// DefaultPort is the TCP and UDP port of the gossip.
const DefaultPort = 7947

// Config is what a Cluster is made of.
type Config struct {
	// Name of this member, unique in the cluster.
	Name string
	// Address of this node. The Cluster listens on it, and the others reach it there.
	Address netip.Addr
	// Port for TCP and UDP, the same on all members. 0 is DefaultPort.
	Port int
	// Logger for what happens to members, and at higher verbosity for what the gossip does. The zero Logger is silent.
	Logger klog.Logger
}

// Cluster says which announcers are alive.
type Cluster struct {
	config  Config
	changed chan struct{}
	joined  chan struct{}
	search  search

	mu sync.Mutex
	// alive is who is in sight besides this member, and where.
	alive map[string]netip.Addr
}

// New returns a Cluster that has only itself in sight until it runs.
func New(config Config) *Cluster {
	if config.Port == 0 {
		config.Port = DefaultPort
	}
	return &Cluster{
		config:  config,
		changed: make(chan struct{}, 1),
		joined:  make(chan struct{}),
		search:  newSearch(),
		alive:   map[string]netip.Addr{},
	}
}

// Alive returns the names of the members in sight, this one included, sorted. One that is only suspected to be dead is
// still in sight.
func (c *Cluster) Alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := append(slices.Collect(maps.Keys(c.alive)), c.config.Name)
	slices.Sort(names)
	return names
}

// Changed receives after Alive has changed; several changes may come as one.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

// Joined is closed once, after the first SetPeers, every peer is in sight or has been tried and did not answer. What Alive
// says before that may be what a member sees that has just woken up.
func (c *Cluster) Joined() <-chan struct{} { return c.joined }

// Run takes part in the gossip until the context ends; it then tells the others that it leaves and returns nil, within
// about a second. An address or port that cannot be listened on is an error.
func (c *Cluster) Run(ctx context.Context) error {
	list, err := memberlist.Create(c.memberlistConfig())
	if err != nil {
		return fmt.Errorf("gossip on %s port %d: %w", c.config.Address, c.config.Port, err)
	}
	c.seek(ctx, func(name string, address netip.Addr) error {
		_, err := list.Join([]string{name + "/" + netip.AddrPortFrom(address, uint16(c.config.Port)).String()})
		return err
	})

	const farewell = 500 * time.Millisecond
	if err := list.Leave(farewell); err != nil {
		c.config.Logger.V(2).Info("The other announcers may not have heard that this one leaves", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("end the gossip: %w", err)
	}
	return nil
}

// sees returns whether a member is in sight at that address.
func (c *Cluster) sees(name string, address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive[name] == address
}

// sight is the Cluster as memberlist sees it.
type sight struct{ *Cluster }

// NotifyJoin is for memberlist: a member came in sight.
func (s sight) NotifyJoin(n *memberlist.Node) {
	address, _ := netip.AddrFromSlice(n.Addr)
	address = address.Unmap()
	if n.Name == s.config.Name {
		return
	}
	s.mu.Lock()
	s.alive[n.Name] = address
	s.mu.Unlock()
	s.config.Logger.Info("An announcer came in sight", "node", n.Name, "address", address)
	s.noteChange()
}

// NotifyLeave is for memberlist: a member died or left.
func (s sight) NotifyLeave(n *memberlist.Node) {
	if n.Name == s.config.Name {
		return
	}
	s.mu.Lock()
	delete(s.alive, n.Name)
	s.mu.Unlock()
	s.config.Logger.Info("An announcer went out of sight", "node", n.Name)
	s.noteChange()
}

// NotifyUpdate is for memberlist: nothing that is told here changes while a member is in sight.
func (sight) NotifyUpdate(*memberlist.Node) {}

func (c *Cluster) noteChange() {
	signal(c.changed)
	signal(c.search.wake)
}

// signal leaves a token in a channel of capacity one, which may have one already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
