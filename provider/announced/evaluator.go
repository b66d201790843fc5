package announced

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/guard"
)

// nobodysNode is the name of the node whose plans an evaluator makes: no Node can have it.
const nobodysNode = "*"

// evaluator finds out what there is to say about every address of a Service: by what the announcers
// have recorded, and where that says nothing by the plan that the announcers make too. It has no
// clock and no client, and is not safe for concurrent use.
type evaluator struct {
	view *plan.View
	// layer2 and bgp explain what is to become of an address, by the same view.
	layer2 *plan.Layer2Planner
	bgp    *plan.BGPPlanner
	// planned says that the plan of layer2 is up to date.
	planned bool

	// nodes and announcers are those that there are, and alive the nodes whose announcers are, sorted.
	nodes      map[string]*corev1.Node
	announcers map[string]*v1alpha1.Announcer
	alive      []string
	// claimSlices are those of all announcers, by their names.
	claimSlices map[string]*v1alpha1.ClaimSlice
	// pods are those of announcers, by name, and podsOn by node too. podsKnown says that there are no others.
	pods      map[string]*corev1.Pod
	podsOn    map[string]map[string]*corev1.Pod
	podsKnown bool
	// troubles are what has become of the Pods of announcers that are not alive, by node.
	troubles map[string]string
	// records are which nodes announcers take for dead, by their nodes, and dead what follows from them.
	records map[string]deadnodes.Record
	dead    map[string]deadnodes.Verdict
	// running says whether one of these runs. The others are down, and may be about to be started again.
	running bool
	// sessions are those that nodes have with BGPPeers, sorted.
	sessions map[string][]peerSessions
	// These have a status that is ours to write.
	l2Advertisements map[string]*v1alpha1.L2Advertisement
	peers            map[string]*v1alpha1.BGPPeer
	advertisements   map[string]*v1alpha1.BGPAdvertisement
	communities      map[string]*v1alpha1.Community
	profiles         map[string]*v1alpha1.BFDProfile
	// conflicts are the addresses for which other hosts answer.
	conflicts map[netip.Addr]conflict
	// announced are the addresses of Services that have said that they are announced. They are in use, whatever a probe finds.
	announced map[netip.Addr]struct{}
	// attempts are those of Services to find an address without a conflict.
	attempts map[types.NamespacedName]attempts
	// failed are the Services that could not be taken in for a fault of the program, and undecided the
	// addresses that the plans fail on.
	failed    map[types.NamespacedName]*guard.Panic
	undecided map[netip.Addr]*guard.Panic

	// marked are the Services to evaluate, if not all.
	marked    map[types.NamespacedName]struct{}
	allMarked bool
}

func newEvaluator() *evaluator {
	view := plan.NewView()
	return &evaluator{
		view:             view,
		layer2:           plan.NewLayer2Planner(view, nobodysNode),
		bgp:              plan.NewBGPPlanner(view, nobodysNode),
		nodes:            map[string]*corev1.Node{},
		announcers:       map[string]*v1alpha1.Announcer{},
		claimSlices:      map[string]*v1alpha1.ClaimSlice{},
		pods:             map[string]*corev1.Pod{},
		podsOn:           map[string]map[string]*corev1.Pod{},
		records:          map[string]deadnodes.Record{},
		sessions:         map[string][]peerSessions{},
		l2Advertisements: map[string]*v1alpha1.L2Advertisement{},
		peers:            map[string]*v1alpha1.BGPPeer{},
		advertisements:   map[string]*v1alpha1.BGPAdvertisement{},
		communities:      map[string]*v1alpha1.Community{},
		profiles:         map[string]*v1alpha1.BFDProfile{},
		announced:        map[netip.Addr]struct{}{},
		attempts:         map[types.NamespacedName]attempts{},
		failed:           map[types.NamespacedName]*guard.Panic{},
		marked:           map[types.NamespacedName]struct{}{},
	}
}

// evaluate returns what the Services are to say for which that may have changed; nothing for those
// that are to say nothing. If time alone will change something, again says when; it is zero
// otherwise.
func (e *evaluator) evaluate(now time.Time) (statements map[types.NamespacedName][]statement, again time.Time) {
	e.judgeNodes()
	alive, again := e.aliveAt(now)
	if !slices.Equal(alive, e.alive) {
		e.alive = alive
		e.layer2.SetAlive(alive)
		e.allMarked = true
	}
	running := slices.ContainsFunc(alive, func(node string) bool { return !down(e.announcers[node]) })
	if running != e.running {
		e.running, e.allMarked = running, true
	}
	if troubles := e.podTroubles(); !maps.Equal(troubles, e.troubles) {
		e.troubles, e.allMarked = troubles, true
	}
	again = plan.Earlier(again, e.collectConflicts(now))
	e.reportFailures(e.bgp.Plan(now).Failures)
	if e.allMarked {
		for name := range e.view.Services() {
			e.marked[name] = struct{}{}
		}
	}
	e.planned = false
	statements = make(map[types.NamespacedName][]statement, len(e.marked))
	for name := range e.marked {
		statements[name] = e.statementsOf(name, now)
	}
	e.marked, e.allMarked = map[types.NamespacedName]struct{}{}, false
	return statements, again
}

// statementsOf are what a Service is to say. If that cannot be found out, it says so.
func (e *evaluator) statementsOf(name types.NamespacedName, now time.Time) (said []statement) {
	addresses := e.view.Service(name).Addresses()
	failed := guard.Run("announced", name.String(), func() {
		for _, address := range addresses {
			said = append(said, e.stateOf(address, now))
		}
	})
	if failed == nil {
		failed = e.failureOf(name, addresses)
	} else {
		said = nil
	}
	if failed != nil && len(said) == 0 {
		return []statement{{reason: v1alpha1.ReasonInternalError, failed: failed.Error()}}
	}
	if failed != nil {
		said[0].failed = failed.Error()
	}
	return said
}

// failedOn takes note of a Service that could not be taken in.
func (e *evaluator) failedOn(name types.NamespacedName, p *guard.Panic) {
	e.failed[name] = p
	e.marked[name] = struct{}{}
}

// reportFailures has the Services say of whose addresses the plans fail, from now on or no longer.
func (e *evaluator) reportFailures(failures []plan.Failure) {
	for _, f := range failures {
		guard.Report("announced", f.On(), f.Panic)
	}
	before := e.undecided
	e.undecided = map[netip.Addr]*guard.Panic{}
	for _, f := range slices.Concat(e.layer2.Failed(), e.bgp.Failed()) {
		e.undecided[f.Address] = f.Panic
		if before[f.Address] == nil {
			e.markAddress(f.Address)
		}
	}
	for address := range before {
		if e.undecided[address] == nil {
			e.markAddress(address)
		}
	}
}

// failureOf is the fault of the program that concerns a Service with these addresses; nil if none does.
func (e *evaluator) failureOf(name types.NamespacedName, addresses []netip.Addr) *guard.Panic {
	for _, address := range addresses {
		if p := e.undecided[address]; p != nil {
			return p
		}
	}
	return e.failed[name]
}

// aliveAt returns the sorted names of the nodes whose announcers are alive, and when time alone
// will change that.
func (e *evaluator) aliveAt(now time.Time) (alive []string, again time.Time) {
	for name, announcer := range e.announcers {
		ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || !e.view.NodeReady(name) {
			continue
		}
		switch {
		case ready.Status == metav1.ConditionTrue:
			alive = append(alive, name)
		case down(announcer):
			// On a node that is healthy, it is expected back.
			end := ready.LastTransitionTime.Add(plan.RestartGrace)
			if end.After(now) {
				alive = append(alive, name)
				if again.IsZero() || end.Before(again) {
					again = end
				}
			}
		}
	}
	slices.Sort(alive)
	return alive, again
}

// isAlive says whether the announcer of a node was alive at the last evaluation.
func (e *evaluator) isAlive(node string) bool {
	_, alive := slices.BinarySearch(e.alive, node)
	return alive
}

// answers says whether the network gets an answer for what a node announces on layer 2 whose announcer is
// alive: from this one or, while it is started again, from another one in its place.
func (e *evaluator) answers(node string) bool { return e.running || !down(e.announcers[node]) }

// planLayer2 makes the plan of layer 2. From the first one on, the view takes claims for newer than
// those that it has.
func (e *evaluator) planLayer2(now time.Time) {
	e.reportFailures(e.layer2.Plan(now).Failures)
	e.planned = true
}

// explain asks the plan. Where all is well there is none to make.
func (e *evaluator) explain(address netip.Addr, now time.Time) plan.Layer2Explanation {
	if !e.planned {
		e.planLayer2(now)
	}
	return e.layer2.Explain(address)
}

// stateOf is what there is to say about an address.
func (e *evaluator) stateOf(address netip.Addr, now time.Time) statement {
	s := statement{address: address, reason: v1alpha1.ReasonAnnounced, conflict: e.conflicts[address].sentence()}
	claim, claimed := e.view.Claim(address)
	alive := claimed && e.isAlive(claim.Node)
	silent := alive && !e.answers(claim.Node)
	if alive && len(claim.Interfaces) > 0 && !silent {
		s.layer2 = announcement{claim.Node, and(slices.Sorted(slices.Values(claim.Interfaces))), claim.Since.Unix()}
	}
	bgp := e.bgp.Explain(address)
	s.bgp, s.names = e.reachOf(bgp)
	if s.conflict != "" {
		s.reason = v1alpha1.ReasonAddressConflict
	}
	if s.onLayer2() && !s.byBGP() && advertised(bgp) {
		_, s.unsent = e.unsent(bgp)
	}
	s.unserved = e.unserved(&s, bgp)
	switch {
	case s.onLayer2() || s.byBGP():
	case s.conflict != "":
		s.otherwise, s.conflict = notAnnounced(s.conflict), ""
	case silent:
		s.reason = v1alpha1.ReasonPending
		s.otherwise = notAnnounced("the announcer of " + claim.Node + " " + whyDown(e.announcers[claim.Node]) + ", and no other one runs that could answer in its place")
	case claimed:
		s.reason, s.otherwise = e.whyNotOnLayer2(e.explain(address, now), bgp, &claim, alive)
	default:
		s.reason, s.otherwise = e.whyNotOnLayer2(e.explain(address, now), bgp, nil, false)
	}
	return s
}

// whyNotOnLayer2 is the reason for the Announced condition and a half sentence about an address
// that nobody announces. The claim that holds is nil if there is none; alive says whether its
// node's announcer is.
func (e *evaluator) whyNotOnLayer2(layer2 plan.Layer2Explanation, bgp plan.BGPExplanation, claim *plan.Claim, alive bool) (reason, sentence string) {
	if layer2.Refused == plan.NoAdvertisement && advertised(bgp) {
		return e.whyNotByBGP(bgp)
	}
	switch layer2.Refused {
	case plan.NoPool, plan.NoAdvertisement:
		return v1alpha1.ReasonNotAdvertised, notAnnounced(withRemedy(layer2.Refused.Sentence(), layer2.Refused.Remedy()))
	case plan.NoEndpoint:
		return v1alpha1.ReasonNoEndpoint, notAnnounced(withRemedy(layer2.Refused.Sentence(), layer2.Refused.Remedy()))
	}
	switch {
	case layer2.Decision.Owner == "":
		return v1alpha1.ReasonNoNode, notAnnounced(e.whyNoNode(layer2.Verdicts))
	case alive:
		return v1alpha1.ReasonPending, "about to be announced by " + claim.Node + ", which makes sure that nobody else has it"
	case claim != nil:
		return v1alpha1.ReasonPending, "about to move away from " + claim.Node + ", whose announcer is not in sight"
	}
	return v1alpha1.ReasonPending, "about to be announced"
}

// outlook is what is to become of an address.
func (e *evaluator) outlook(address netip.Addr, now time.Time) (o Outlook) {
	layer2, bgp := e.explain(address, now), e.bgp.Explain(address)
	o.Owner = layer2.Decision.Owner
	conflict := e.conflicts[address].sentence()
	if conflict != "" && !e.stateOf(address, now).onLayer2() {
		o.Owner = "" // a host that has the address keeps it from being announced
	}
	bgp.Verdicts = slices.Clone(bgp.Verdicts)
	for i := range bgp.Verdicts {
		v := &bgp.Verdicts[i]
		if v.Leaves {
			v.Peers = nil // it closes its sessions, too, if nothing is left to announce on them
		}
		if !e.isAlive(v.Node) {
			continue
		}
		for _, peer := range v.Peers {
			carried := e.sending(v.Node, peer, address).carried && !e.closed(v.Node, peer)
			o.Routes = append(o.Routes, Route{v.Node, peer, carried})
		}
	}
	switch {
	case o.Announced():
	case conflict != "":
		o.WhyNot = statement{address: address, otherwise: notAnnounced(conflict)}.String()
	default:
		_, why := e.whyNotOnLayer2(layer2, bgp, nil, false)
		o.WhyNot = statement{address: address, otherwise: why}.String()
	}
	return o
}
