package membership

import (
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
	// Key that the members share, of a size that gossipkey.Check accepts. It may also be given to
	// SetKey before Run.
	Key []byte
	// Logger for what happens to members, and at higher verbosity for what memberlist logs. The
	// zero Logger is silent.
	Logger klog.Logger
}

// Cluster says which announcers are alive. Its methods may be called by any goroutine.
type Cluster struct {
	config  Config
	changed notify.Signal
	joined  chan struct{}
	joins   joinState
	keys    keys
	nodes   nodeSet
	timing  timing
	session []byte
	// leaveQueue has the leave messages that this member passes on.
	leaveQueue memberlist.TransmitLimitedQueue
	rejected   rejectedSenders
	// strangers are those that are no nodes.
	strangers rejectedSenders
	// sending counts the calls that use list; Run waits for them.
	sending sync.WaitGroup

	mu sync.Mutex
	// list is nil unless the Cluster runs.
	list *memberlist.Memberlist
	// messages are those that Messages has not returned yet.
	messages []Message
	// members are those that are or were alive, by name, without this one.
	members map[string]*member
	// alive is what Alive returns, nil after it has changed. It is asked for much more often than that.
	alive []string
}

// member is what is known of another member.
type member struct {
	alive   bool
	address netip.Addr
	session []byte
	// left says that the session has ended, or is about to, on purpose.
	left bool
	// lastSeen is when it was last known to be alive.
	lastSeen time.Time
}

// New returns a Cluster in which only this member is alive until it runs.
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
		nodes:   nodeSet{own: config.Address},
		timing:  lanTiming,
		session: newSession(),
		members: map[string]*member{},
	}
	c.SetKey(config.Key) // without a usable key, Run returns the error
	c.leaveQueue.RetransmitMult = retransmits
	c.leaveQueue.NumNodes = func() int { return len(c.Alive()) }
	return c
}

// Alive returns the sorted names of the members that are alive, this one included. A suspect still
// counts as alive. The slice must not be modified.
func (c *Cluster) Alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alive == nil {
		c.alive = []string{c.config.Name}
		for name, m := range c.members {
			if m.alive {
				c.alive = append(c.alive, name)
			}
		}
		slices.Sort(c.alive)
	}
	return c.alive
}

// Left says whether a member that is no longer alive has left: it was stopped and did not die. It
// is false for members that are alive and for unknown ones.
func (c *Cluster) Left(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	return m != nil && !m.alive && m.left
}

// LastSeen returns when this member last knew that another was alive: the other answered a probe,
// or joined, or was started again. It is zero if that never happened. A member probes each of n
// others only in every n-th probe interval, so the time from LastSeen until a member is dead is the
// longest that its death can have gone unnoticed.
func (c *Cluster) LastSeen(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[name]; m != nil {
		return m.lastSeen
	}
	return time.Time{}
}

// Changed receives after Alive, Left or RejectedSenders has changed or a message has arrived.
// Several changes may come as one.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

// Joined is closed once, when after the first SetPeers every peer is alive or did not answer a
// first attempt to join it. Before that, Alive may lack members only because this one has just
// started. A peer that answers with an unknown key is waited for as long as a rotation of the key
// may take.
func (c *Cluster) Joined() <-chan struct{} { return c.joined }

// Run takes part in the gossip until the context ends. It then tells the others that this member
// leaves, and returns nil within about a second. It returns an error if there is no key, or if it
// cannot listen on the address and port.
func (c *Cluster) Run(ctx context.Context) error {
	if len(c.keys.ring.GetKeys()) == 0 {
		if err := c.SetKey(c.config.Key); err != nil {
			return fmt.Errorf("gossip without a key: %w", err)
		}
	}
	transport, err := newTransport(c)
	if err != nil {
		return fmt.Errorf("gossip on %s port %d: %w", c.config.Address, c.config.Port, err)
	}
	config := c.memberlistConfig()
	config.Transport = transport
	list, err := memberlist.Create(config)
	if err != nil {
		transport.Shutdown()
		return fmt.Errorf("gossip on %s port %d: %w", c.config.Address, c.config.Port, err)
	}
	c.setList(list)
	defer c.sending.Wait()
	defer c.setList(nil)
	var rotating sync.WaitGroup
	rotating.Go(func() { c.rotateKeys(ctx) })
	defer rotating.Wait()
	c.joinPeers(ctx, func(name string, address netip.Addr) error {
		_, err := list.Join([]string{name + "/" + netip.AddrPortFrom(address, uint16(c.config.Port)).String()})
		return err
	})
	return c.leave(list)
}

func (c *Cluster) setList(list *memberlist.Memberlist) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = list
}

// aliveAt says whether a member is alive at that address.
func (c *Cluster) aliveAt(name string, address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	return m != nil && m.alive && m.address == address
}
