package announce

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
)

// vigils find out what has become of members that the gossip does not see any more, by asking the network, where the kernel
// of a node answers whatever its processes do: whether the node is there and, if it is, whether its announcer answers for the
// addresses that it has. A node is taken for dead at once if it is silent, so that failing over is hardly delayed; of a node
// that is there nothing is taken for a while, so that its announcer can be restarted or upgraded.
type vigils struct {
	prober interface {
		Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error)
	}
	// seesRouter and seesAPI report whether a router on the node's own network, and the API server, can be reached.
	seesRouter, seesAPI func(ctx context.Context) bool
	logger              klog.Logger
	// tries and interval are how often a node is asked for before it is taken for silent, and how long each answer may take.
	tries    int
	interval time.Duration
	// pause is the time between two looks at a member that is there.
	pause time.Duration
	// grace is how long an announcer may be away from a node that is there until others take over.
	grace   time.Duration
	changed chan struct{}

	running sync.WaitGroup

	mu      sync.Mutex
	watched map[string]*vigil
	company company
	// isolated says that the node reaches nobody at all.
	isolated bool
}

// vigil is what is found out about one member.
type vigil struct {
	suspect
	cancel  context.CancelFunc
	absence Absence
	// looked is set once the member was looked at for the first time.
	looked bool
	// told is set once look has said that the member is Gone, which it then stays.
	told bool
}

// company are the members in the gossip's sight.
type company struct {
	// expected is how many announcers there should be, this one included.
	expected int
	// nodes are how to ask for those in sight, this one left out; questions that are not valid for those that cannot be asked.
	nodes []question
}

// suspect is a member out of sight and how to ask for it.
type suspect struct {
	name string
	// node is how to reach the kernel of its node; not valid if none of this node's interfaces is in its network.
	node question
	// announced is an address that its announcer answers for; not valid if this node cannot ask for any.
	announced question
	// left says that its announcer has gone on purpose.
	left bool
}

// question is whom to ask for and where.
type question struct {
	address netip.Addr
	ifi     string
}

func newVigils(prober *layer2.Prober, seesRouter, seesAPI func(context.Context) bool, logger klog.Logger) *vigils {
	return &vigils{
		prober:     prober,
		seesRouter: seesRouter,
		seesAPI:    seesAPI,
		logger:     logger,
		tries:      3,
		interval:   30 * time.Millisecond,
		pause:      150 * time.Millisecond,
		grace:      time.Minute,
		changed:    make(chan struct{}, 1),
		watched:    map[string]*vigil{},
	}
}

// look has vigils held over exactly these suspects, until the context ends, and returns what is known of them, and whether the
// node is isolated. Company is whom the gossip sees. Changed receives when there is news.
func (v *vigils) look(ctx context.Context, suspects []suspect, company company) (absent map[string]Absence, isolated bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.company = company
	is := map[string]suspect{}
	for _, s := range suspects {
		is[s.name] = s
	}
	for name, w := range v.watched {
		if s, suspected := is[name]; !suspected || s.node != w.node {
			w.cancel()
			delete(v.watched, name)
		} else {
			w.announced, w.left = s.announced, s.left
		}
	}
	for _, s := range suspects {
		if v.watched[s.name] == nil {
			ctx, cancel := context.WithCancel(ctx)
			w := &vigil{suspect: s, cancel: cancel, absence: Unknown}
			v.watched[s.name] = w
			v.running.Go(func() { v.watch(ctx, w) })
		}
	}
	if len(v.watched) == 0 {
		v.isolated = false
	}
	absent = map[string]Absence{}
	looking := false
	for _, w := range v.watched {
		looking = looking || !w.looked
	}
	for name, w := range v.watched {
		absent[name] = w.absence
		switch {
		case w.absence != Gone || w.told:
		case looking:
			// When several nodes die at once, whoever knows of one only would share out its addresses otherwise than those who
			// know of all.
			absent[name] = Unknown
		default:
			w.told = true
		}
	}
	return absent, v.isolated
}

// wait returns when all vigils have ended, after the context of look has.
func (v *vigils) wait() { v.running.Wait() }

// watch holds a vigil until the member is gone or the context ends.
func (v *vigils) watch(ctx context.Context, w *vigil) {
	var pausedSince time.Time
	missed := 0
	mayJudge := v.mayJudge(ctx)
	for ctx.Err() == nil {
		there, known := v.isThere(ctx, w)
		if known && !there && !mayJudge {
			// A network that was away and is back must not make everybody look dead who was asked meanwhile.
			if mayJudge = v.mayJudge(ctx); mayJudge {
				there, known = v.isThere(ctx, w)
			}
		}
		if there {
			v.setIsolated(ctx, false)
		}
		dead := known && !there && mayJudge && v.mayJudge(ctx)
		mayJudge = false
		switch {
		case ctx.Err() != nil:
		case dead, !known && v.hasMajority(ctx):
			v.set(ctx, w, Gone, "its node does not answer")
			v.noteLook(w)
			return
		case !there:
			missed, pausedSince = 0, time.Time{}
			v.set(ctx, w, Unknown, "it cannot be asked, or this node may be cut off itself")
		case v.announces(ctx, w):
			missed, pausedSince = 0, time.Time{}
			v.set(ctx, w, Unseen, "it answers for its addresses: is the gossip's port blocked, TCP or UDP?")
		default:
			if missed++; missed < 2 && v.is(w) == Unseen {
				break
			}
			if pausedSince.IsZero() {
				pausedSince = time.Now()
			}
			if time.Since(pausedSince) > v.grace {
				v.set(ctx, w, Gone, "its node answers, but its announcer has not come back")
				return
			}
			v.set(ctx, w, Paused, "its node answers, but its announcer does not")
		}
		v.noteLook(w)
		select {
		case <-ctx.Done():
		case <-time.After(v.pause + rand.N(v.pause/4)):
		}
	}
}

// isThere asks for the member's node; known is false if that is not possible. If this process was so slow that it may have
// missed an answer, it asks again.
func (v *vigils) isThere(ctx context.Context, w *vigil) (there, known bool) {
	if !w.node.address.IsValid() {
		return false, false
	}
	for range 3 {
		start := time.Now()
		_, answered, err := v.prober.Ask(ctx, layer2.Question{
			Interface: w.node.ifi, Address: w.node.address, Tries: v.tries, Interval: v.interval,
		})
		if err != nil {
			v.logger.V(2).Info("Cannot ask for a node", "node", w.name, "interface", w.node.ifi, "err", err)
			return false, false
		}
		if answered {
			return true, true
		}
		if time.Since(start) < 2*time.Duration(v.tries)*v.interval {
			break
		}
	}
	return false, true
}

// announces asks for one of the member's addresses, unless its announcer has said that it goes: it may answer for a moment
// longer. A caretaker answers with its own Ethernet address.
func (v *vigils) announces(ctx context.Context, w *vigil) bool {
	v.mu.Lock()
	q, left := w.announced, w.left
	v.mu.Unlock()
	if left || !q.address.IsValid() {
		return false
	}
	_, answered, err := v.prober.Ask(ctx, layer2.Question{
		Interface: q.ifi, Address: q.address, Tries: 2, Interval: v.interval,
		Accept: func(a layer2.Answer) bool { return bytes.Equal(a.MAC, a.Source) },
	})
	return err == nil && answered
}

// hasMajority reports whether more than half of the announcers are in sight, and there right now: the gossip takes a moment to
// notice, and a node that has just been cut off loses the others one by one. Those that cannot be asked count as there.
func (v *vigils) hasMajority(ctx context.Context) bool {
	v.mu.Lock()
	company := v.company
	v.mu.Unlock()
	if 2*(len(company.nodes)+1) <= company.expected {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(company.nodes))
	for _, q := range company.nodes {
		v.running.Go(func() {
			answered := true
			if q.address.IsValid() {
				_, answered, _ = v.prober.Ask(ctx, layer2.Question{Interface: q.ifi, Address: q.address, Tries: v.tries, Interval: v.interval})
			}
			answers <- answered
		})
	}
	there := 1
	for range company.nodes {
		if 2*there > company.expected {
			break
		}
		if <-answers {
			there++
		}
	}
	return 2*there > company.expected
}

// mayJudge reports whether this node may take a silent one for dead: if it sees a majority, or else a router on its network, it
// is not the one that is cut off from the others. That it reaches the API server does not say so, since the way there may be
// another one. But if it does not even reach that, it is isolated.
func (v *vigils) mayJudge(ctx context.Context) bool {
	if v.hasMajority(ctx) || v.seesRouter(ctx) {
		v.setIsolated(ctx, false)
		return true
	}
	v.setIsolated(ctx, !v.seesAPI(ctx))
	return false
}

func (v *vigils) setIsolated(ctx context.Context, isolated bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.isolated != isolated && ctx.Err() == nil {
		v.isolated = isolated
		signal(v.changed)
	}
}

func (v *vigils) noteLook(w *vigil) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !w.looked {
		w.looked = true
		signal(v.changed)
	}
}

func (v *vigils) is(w *vigil) Absence {
	v.mu.Lock()
	defer v.mu.Unlock()
	return w.absence
}

func (v *vigils) set(ctx context.Context, w *vigil, absence Absence, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ctx.Err() != nil || w.absence == absence {
		return
	}
	w.absence = absence
	v.logger.Info("An announcer is out of sight", "node", w.name, "verdict", absence, "why", why)
	signal(v.changed)
}
