package liveness

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/notify"
)

// Prober asks the network who has an address: layer2.Prober.
type Prober interface {
	Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error)
}

// Reach reports whether something can be reached now.
type Reach func(ctx context.Context) bool

// Detector is the failure detector: it finds out what has become of members that the gossip has
// lost, by asking the network. The kernel of a node answers for the node's address whatever its
// processes do, so the answers tell whether the node is there, and if it is, whether its announcer
// answers for the addresses that it has. A silent node is dead at once, so that failing over is
// hardly delayed. A node that answers keeps its addresses for a while, so that its announcer can be
// restarted or upgraded.
//
// A member that the gossip still sees is suspected too when its heartbeats do not arrive. It is asked for
// from the first one on that is missing, and is dead if its node is silent when three are. Nothing else
// follows from missing heartbeats.
//
// Each suspect has a goroutine that investigates it; Update, called by the loop, starts and ends
// those.
type Detector struct {
	prober      Prober
	seesGateway Reach
	seesAPI     Reach
	logger      klog.Logger
	timing      timing
	changed     notify.Signal
	// running are the investigations and what they ask.
	running sync.WaitGroup
	// self is the question whether this node reaches anybody.
	self singleflight.Group

	// mu guards what follows, and of every suspicion what is said there.
	mu         sync.Mutex
	suspicions map[string]*suspicion
	quorum     Quorum
	// isolated says that the node reaches nobody at all.
	isolated bool
	// stopJudging ends the checks of that which need no suspect; nil while there are none.
	stopJudging context.CancelFunc
}

// timing is how long a Detector waits for what.
type timing struct {
	// tries and interval are how often a node is asked for where no verdict depends on it, and how
	// long each answer may take. Where one does, see thorough.
	tries    int
	interval time.Duration
	// pause is the time between two rounds of questions about a suspect that is not dead. As long as
	// nothing changes it is twice as long each time, up to maxPause: all members ask about each
	// suspect. It is how long it may take at most to notice that such a node dies.
	pause, maxPause time.Duration
	// broadcastEvery is in which rounds all hosts are asked for an address that an announcer does not
	// answer for, and not its node alone: in the first, and in one of so many.
	broadcastEvery int
	// grace is how long the announcer of a node that answers may be down until others take over.
	grace time.Duration
}

// suspicion is what is known of one suspect.
type suspicion struct {
	// name, node and cancel do not change. cancel ends the investigation.
	name   string
	node   plan.Question
	cancel context.CancelFunc
	// wake has the next round begin at once, because something has changed.
	wake notify.Signal

	// The Detector's mu guards the rest. announced, left, inSight and silent are from the last Update.
	announced             plan.Question
	left, inSight, silent bool
	// state is what the investigation has found.
	state plan.MemberState
	// probed is set at the end of the first round of questions.
	probed bool
	// reported is set once Update has said that the member is dead, which it then stays.
	reported bool
}

// NewDetector returns a Detector without suspects. Gateway is a router on the node's own network,
// and api the API server.
func NewDetector(prober Prober, gateway, api Reach, logger klog.Logger) *Detector {
	return &Detector{
		prober:      prober,
		seesGateway: gateway,
		seesAPI:     api,
		logger:      logger,
		timing: timing{
			tries:    3,
			interval: 30 * time.Millisecond,
			pause:    150 * time.Millisecond,
			maxPause: 3 * time.Second,
			grace:    plan.RestartGrace,

			broadcastEvery: 8,
		},
		changed:    notify.New(),
		suspicions: map[string]*suspicion{},
	}
}

// Update has exactly these suspects investigated, until the context ends, and returns what is known
// of them and whether this node is isolated. Quorum is whom the gossip sees. Changed receives when
// Update would return something else.
func (d *Detector) Update(ctx context.Context, suspects []plan.ProbeTarget, quorum Quorum) (states map[string]plan.MemberState, isolated bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := len(d.quorum.InGossip) != len(quorum.InGossip) || d.quorum.Expected != quorum.Expected
	d.quorum = quorum
	changed = d.endOthers(suspects) || changed
	var unknown []plan.ProbeTarget
	for _, s := range suspects {
		known := d.suspicions[s.Name]
		switch {
		case known == nil:
			unknown = append(unknown, s)
			changed = changed || !s.InSight
		case known.announced != s.Announced || known.left != s.Left || known.inSight != s.InSight || known.silent != s.Silent:
			changed = changed || known.inSight != s.InSight
			known.announced, known.left, known.inSight, known.silent = s.Announced, s.Left, s.InSight, s.Silent
			known.wake.Notify()
		}
	}
	if changed {
		d.wakeAll()
	}
	for _, s := range unknown {
		d.suspicions[s.Name] = d.investigate(ctx, s)
	}
	if len(d.suspicions) == 0 && quorum.InSight() {
		d.isolated = false
	}
	d.judgeSelf(ctx, quorum.InSight())
	return d.states(), d.isolated
}

// wakeAll has all suspects asked at once, under mu.
func (d *Detector) wakeAll() {
	for _, s := range d.suspicions {
		s.wake.Notify()
	}
}

// endOthers ends the investigations of members that are not suspected any more, or whose node is
// another one, or that are back in sight. It returns whether there were any that the gossip had lost.
func (d *Detector) endOthers(suspects []plan.ProbeTarget) (ended bool) {
	targets := map[string]plan.ProbeTarget{}
	for _, s := range suspects {
		targets[s.Name] = s
	}
	for name, s := range d.suspicions {
		target, suspected := targets[name]
		if back := !s.inSight && target.InSight || s.silent && target.InSight && !target.Silent; !suspected || target.Node != s.node || back {
			s.cancel()
			delete(d.suspicions, name)
			ended = ended || !s.inSight
		}
	}
	return ended
}

// states returns what is known of all suspects. As long as one has not been probed, no other is
// reported dead: when several nodes die at once, whoever knows of one only would share out its
// addresses otherwise than those who know of all. Of one that the gossip sees nothing is reported
// before it is silent.
func (d *Detector) states() map[string]plan.MemberState {
	states := map[string]plan.MemberState{}
	probing := false
	for _, s := range d.suspicions {
		probing = probing || !s.probed && !s.isLate()
	}
	for name, s := range d.suspicions {
		if s.isLate() {
			continue
		}
		states[name] = s.state
		switch {
		case s.state != plan.Dead || s.reported:
		case probing:
			states[name] = plan.Suspect
		default:
			s.reported = true
		}
	}
	return states
}

// isLate says whether no more than a heartbeat of the member is missing.
func (s *suspicion) isLate() bool { return s.inSight && !s.silent }

// Changed receives when Update would return something else than before.
func (d *Detector) Changed() <-chan struct{} { return d.changed }

// Wait returns when all investigations have ended, after the context of Update has.
func (d *Detector) Wait() { d.running.Wait() }
