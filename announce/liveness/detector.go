package liveness

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/notify"
)

// Detector find out what has become of members that the gossip does not see any more, by asking the network, where the kernel
// of a node answers whatever its processes do: whether the node is there and, if it is, whether its announcer answers for the
// addresses that it has. A node is taken for dead at once if it is silent, so that failing over is hardly delayed; of a node
// that is there nothing is taken for a while, so that its announcer can be restarted or upgraded.
type Detector struct {
	prober interface {
		Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error)
	}
	// seesGateway and seesAPI report whether a router on the node's own network, and the API server, can be reached.
	seesGateway, seesAPI func(ctx context.Context) bool
	logger               klog.Logger
	// tries and interval are how often a node is asked for before it is taken for silent, and how long each answer may take.
	tries    int
	interval time.Duration
	// pause is the time between two looks at a member that is there.
	pause time.Duration
	// grace is how long an announcer may be away from a node that is there until others take over.
	grace   time.Duration
	changed notify.Signal

	running sync.WaitGroup

	mu         sync.Mutex
	suspicions map[string]*suspicion
	sighted    Sighted
	// isolated says that the node reaches nobody at all.
	isolated bool
}

// suspicion is what is found out about one member.
type suspicion struct {
	plan.ProbeTarget
	cancel context.CancelFunc
	state  plan.MemberState
	// probed is set once the member was looked at for the first time.
	probed bool
	// reported is set once look has said that the member is Gone, which it then stays.
	reported bool
}

// Sighted are the members in the gossip's sight.
type Sighted struct {
	// Expected is how many announcers there should be, this one included.
	Expected int
	// Nodes are how to ask for those in sight, this one left out; questions that are not valid for those that cannot be asked.
	Nodes []plan.Question
}

func NewDetector(prober *layer2.Prober, seesRouter, seesAPI func(context.Context) bool, logger klog.Logger) *Detector {
	return &Detector{
		prober:      prober,
		seesGateway: seesRouter,
		seesAPI:     seesAPI,
		logger:      logger,
		tries:       3,
		interval:    30 * time.Millisecond,
		pause:       150 * time.Millisecond,
		grace:       plan.RestartGrace,
		changed:     notify.New(),
		suspicions:  map[string]*suspicion{},
	}
}

// Update has vigils held over exactly these suspects, until the context ends, and returns what is known of them, and whether the
// node is isolated. Company is whom the gossip sees. Changed receives when there is news.
func (v *Detector) Update(ctx context.Context, suspects []plan.ProbeTarget, company Sighted) (absent map[string]plan.MemberState, isolated bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sighted = company
	is := map[string]plan.ProbeTarget{}
	for _, s := range suspects {
		is[s.Name] = s
	}
	for name, w := range v.suspicions {
		if s, suspected := is[name]; !suspected || s.Node != w.Node {
			w.cancel()
			delete(v.suspicions, name)
		} else {
			w.Announced, w.Left = s.Announced, s.Left
		}
	}
	for _, s := range suspects {
		if v.suspicions[s.Name] == nil {
			ctx, cancel := context.WithCancel(ctx)
			w := &suspicion{ProbeTarget: s, cancel: cancel, state: plan.Suspect}
			v.suspicions[s.Name] = w
			v.running.Go(func() { v.watch(ctx, w) })
		}
	}
	if len(v.suspicions) == 0 {
		v.isolated = false
	}
	absent = map[string]plan.MemberState{}
	looking := false
	for _, w := range v.suspicions {
		looking = looking || !w.probed
	}
	for name, w := range v.suspicions {
		absent[name] = w.state
		switch {
		case w.state != plan.Dead || w.reported:
		case looking:
			// When several nodes die at once, whoever knows of one only would share out its addresses otherwise than those who
			// know of all.
			absent[name] = plan.Suspect
		default:
			w.reported = true
		}
	}
	return absent, v.isolated
}

// Changed receives when Update would say something else than before.
func (v *Detector) Changed() <-chan struct{} { return v.changed }

// Wait returns when all vigils have ended, after the context of look has.
func (v *Detector) Wait() { v.running.Wait() }

// watch holds a vigil until the member is gone or the context ends.
func (v *Detector) watch(ctx context.Context, w *suspicion) {
	var pausedSince time.Time
	missed := 0
	mayJudge := v.canJudge(ctx)
	for ctx.Err() == nil {
		there, known := v.nodeAnswers(ctx, w)
		if known && !there && !mayJudge {
			// A network that was away and is back must not make everybody look dead who was asked meanwhile.
			if mayJudge = v.canJudge(ctx); mayJudge {
				there, known = v.nodeAnswers(ctx, w)
			}
		}
		if there {
			v.setIsolated(ctx, false)
		}
		dead := known && !there && mayJudge && v.canJudge(ctx)
		mayJudge = false
		switch {
		case ctx.Err() != nil:
		case dead, !known && v.hasMajority(ctx):
			v.set(ctx, w, plan.Dead, "its node does not answer")
			v.markProbed(w)
			return
		case !there:
			missed, pausedSince = 0, time.Time{}
			v.set(ctx, w, plan.Suspect, "it cannot be asked, or this node may be cut off itself")
		case v.announcerAnswers(ctx, w):
			missed, pausedSince = 0, time.Time{}
			v.set(ctx, w, plan.GossipBlocked, "it answers for its addresses: is the gossip's port blocked, TCP or UDP?")
		default:
			if missed++; missed < 2 && v.state(w) == plan.GossipBlocked {
				break
			}
			if pausedSince.IsZero() {
				pausedSince = time.Now()
			}
			if time.Since(pausedSince) > v.grace {
				v.set(ctx, w, plan.Dead, "its node answers, but its announcer has not come back")
				return
			}
			v.set(ctx, w, plan.AnnouncerDown, "its node answers, but its announcer does not")
		}
		v.markProbed(w)
		select {
		case <-ctx.Done():
		case <-time.After(v.pause + rand.N(v.pause/4)):
		}
	}
}

// nodeAnswers asks for the member's node; known is false if that is not possible. If this process was so slow that it may have
// missed an answer, it asks again.
func (v *Detector) nodeAnswers(ctx context.Context, w *suspicion) (there, known bool) {
	if !w.Node.Address.IsValid() {
		return false, false
	}
	for range 3 {
		start := time.Now()
		_, answered, err := v.prober.Ask(ctx, layer2.Question{
			Interface: w.Node.Interface, Address: w.Node.Address, Tries: v.tries, Interval: v.interval,
		})
		if err != nil {
			v.logger.V(2).Info("Cannot ask for a node", "node", w.Name, "interface", w.Node.Interface, "err", err)
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

// announcerAnswers asks for one of the member's addresses, unless its announcer has said that it goes: it may answer for a moment
// longer. A caretaker answers with its own Ethernet address.
func (v *Detector) announcerAnswers(ctx context.Context, w *suspicion) bool {
	v.mu.Lock()
	q, left := w.Announced, w.Left
	v.mu.Unlock()
	if left || !q.Address.IsValid() {
		return false
	}
	_, answered, err := v.prober.Ask(ctx, layer2.Question{
		Interface: q.Interface, Address: q.Address, Tries: 2, Interval: v.interval,
		Accept: func(a layer2.Answer) bool { return bytes.Equal(a.MAC, a.Source) },
	})
	return err == nil && answered
}

// hasMajority reports whether more than half of the announcers are in sight, and there right now: the gossip takes a moment to
// notice, and a node that has just been cut off loses the others one by one. Those that cannot be asked count as there.
func (v *Detector) hasMajority(ctx context.Context) bool {
	v.mu.Lock()
	company := v.sighted
	v.mu.Unlock()
	if 2*(len(company.Nodes)+1) <= company.Expected {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(company.Nodes))
	for _, q := range company.Nodes {
		v.running.Go(func() {
			answered := true
			if q.Address.IsValid() {
				_, answered, _ = v.prober.Ask(ctx, layer2.Question{Interface: q.Interface, Address: q.Address, Tries: v.tries, Interval: v.interval})
			}
			answers <- answered
		})
	}
	there := 1
	for range company.Nodes {
		if 2*there > company.Expected {
			break
		}
		if <-answers {
			there++
		}
	}
	return 2*there > company.Expected
}

// canJudge reports whether this node may take a silent one for dead: if it sees a majority, or else a router on its network, it
// is not the one that is cut off from the others. That it reaches the API server does not say so, since the way there may be
// another one. But if it does not even reach that, it is isolated.
func (v *Detector) canJudge(ctx context.Context) bool {
	if v.hasMajority(ctx) || v.seesGateway(ctx) {
		v.setIsolated(ctx, false)
		return true
	}
	v.setIsolated(ctx, !v.seesAPI(ctx))
	return false
}

func (v *Detector) setIsolated(ctx context.Context, isolated bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.isolated != isolated && ctx.Err() == nil {
		v.isolated = isolated
		v.changed.Notify()
	}
}

func (v *Detector) markProbed(w *suspicion) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !w.probed {
		w.probed = true
		v.changed.Notify()
	}
}

func (v *Detector) state(w *suspicion) plan.MemberState {
	v.mu.Lock()
	defer v.mu.Unlock()
	return w.state
}

func (v *Detector) set(ctx context.Context, w *suspicion, absence plan.MemberState, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ctx.Err() != nil || w.state == absence {
		return
	}
	w.state = absence
	v.logger.Info("An announcer is out of sight", "node", w.Name, "verdict", absence, "why", why)
	v.changed.Notify()
}
