package announce

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
)

// others is who else announces, and whether this node may take part among them.
type others struct {
	newMembers    func(address netip.Addr, key []byte) members
	newHeartbeats func(address netip.Addr, keys func() [][]byte) heartbeats
	// members are the announcers in the gossip, from the join on. It listens on address, which is
	// the node's.
	members members
	address netip.Addr
	// watch is what heartbeats say of the members in sight.
	watch watch
	// expected are the addresses of the nodes that should be in the gossip, this one among them;
	// nil before the join.
	expected map[string]netip.Addr
	// membership is the View's number of what follows: most changes of the API concern none of it.
	membership uint64
	// nodes are the sorted addresses of all nodes, with an announcer or not.
	nodes []netip.Addr
	// macs are the nodes by the hardware addresses with which they answer.
	macs map[string]string
	// silent are the addresses of nodes without an announcer.
	silent map[string][]netip.Addr

	attendance attendance
	detector   *liveness.Detector
	silence    *liveness.Silence
	gate       liveness.Gate
	// pauses says whether the node may speak, and inquiry is how it finds out whether it may again.
	pauses  pauses
	inquiry inquiry
	// asking are the members out of sight about which this node asks, and leaving those about which it leaves that to others.
	asking  map[string]bool
	leaving []string
	// inSight are the members that were alive when it was last looked.
	inSight []string
	// warmUpEnd is until when the node takes part so newly that others may not have been met.
	warmUpEnd time.Time
}

func newOthers(with parts, seesGateway liveness.Reach, logger klog.Logger) others {
	detector := liveness.NewDetector(with.lan.prober, seesGateway, with.api.reachable, logger)
	return others{
		newMembers:    with.newMembers,
		newHeartbeats: with.newHeartbeats,
		pauses:        with.pauses,
		detector:      detector,
		silence:       liveness.NewSilence(detector),
	}
}

// updatePeers tells the gossip who should be there, and notes with which hardware addresses.
func (a *Announcer) updatePeers() {
	if a.others.expected != nil && a.others.membership == a.view.Membership() {
		return
	}
	a.others.membership = a.view.Membership()
	a.others.macs, a.others.silent = a.view.MACs(), a.view.NodesWithoutAnnouncer()
	a.lan.responder.SetMembers(parseMACs(a.others.macs))
	if nodes := a.view.NodeAddresses(); !slices.Equal(nodes, a.others.nodes) {
		a.others.nodes = nodes
		a.others.members.SetNodes(nodes)
	}
	peers := a.view.Peers()
	if a.others.expected != nil && maps.Equal(peers, a.others.expected) {
		return
	}
	a.others.expected = peers
	known := maps.Clone(peers)
	maps.DeleteFunc(known, func(_ string, address netip.Addr) bool { return !address.IsValid() })
	a.others.members.SetPeers(known)
}

// observe tells the planner what the node perceives besides the API: its interfaces, and who is
// alive. If only time is missing for the node to take part, it returns when to look again.
func (a *Announcer) observe(ctx context.Context) (wake time.Time) {
	now := time.Now()
	interfaces, inGossip := interfacesOf(a.lan.links.Interfaces()), a.others.members.Alive()
	a.tellLinksDown(interfaces)
	wake = a.observeHeartbeats(inGossip, now)
	a.attend(inGossip, interfaces)
	quorum := a.others.attendance.quorum
	states, isolated := a.others.detector.Update(ctx, a.witnessed(a.suspects(interfaces), quorum), quorum)
	for _, name := range a.others.leaving {
		states[name] = plan.Suspect
	}
	alive := a.others.watch.leaveOutDead(inGossip, states)
	wake = plan.Earlier(wake, a.tellTheDead(now))
	a.reportDeaths(states, now)
	a.recordSilence(ctx, interfaces)
	a.greet(alive)
	isolated = isolated || a.others.inquiry.failed
	a.seen.isolated = isolated

	may, wait := a.others.gate.Allows(interfaces, alive, isolated, func() bool { return a.api.cacheSync.Synced(ctx) }, now)
	if why := a.whyWithheld(may, wait); why != a.seen.withheld {
		a.seen.withheld, a.status.changed = why, true
	}
	if !may {
		interfaces = nil
	}
	if may || wait == 0 {
		a.api.cacheSync.Reset() // the gate is open, or the node is still cut off
	}
	if wait > 0 {
		wake = plan.Earlier(wake, now.Add(wait))
	}
	warmingUp := now.Before(a.others.warmUpEnd) && !a.view.Complete(alive)
	if warmingUp {
		wake = plan.Earlier(wake, a.others.warmUpEnd)
	}
	a.planner.SetWarmingUp(warmingUp)
	a.planner.SetInterfaces(interfaces)
	a.planner.SetAlive(alive)
	a.planner.SetMemberStates(states)
	return wake
}

// whyWithheld is why the node may announce nothing: the gate is closed, for no longer than wait if it is not zero.
func (a *Announcer) whyWithheld(may bool, wait time.Duration) withheld {
	switch {
	case may:
		return ""
	case a.others.inquiry.failed:
		return isUnanswered
	case a.seen.isolated:
		return isCutOff
	case wait > 0:
		return isBehind
	}
	return hasNoLink
}

// tellLinksDown tells the others which links this node has lost since the last turn, over another one: what was announced there is no
// longer answered, and the API would say so later.
func (a *Announcer) tellLinksDown(interfaces []plan.Interface) {
	var up, lost []string
	for _, i := range interfaces {
		if !i.Down {
			up = append(up, i.Name)
		}
	}
	for _, name := range a.planner.LANInterfaces() {
		if slices.Contains(a.seen.linksUp, name) && !slices.Contains(up, name) {
			lost = append(lost, name)
		}
	}
	a.seen.linksUp = up
	if len(lost) > 0 {
		a.broadcast(message{LinksDown: lost})
	}
}

// attendance is who of those that are expected is in the gossip's sight, and who is not.
type attendance struct {
	quorum  liveness.Quorum
	missing []string

	// What it goes by.
	inGossip            []string
	interfaces          []plan.Interface
	membership, peersOf uint64
}

// attend brings the attendance up to date. It is made anew only where it may be another: most turns are about Services, and there may
// be thousands of members.
func (a *Announcer) attend(inGossip []string, interfaces []plan.Interface) {
	before, membership := &a.others.attendance, a.view.Membership()
	if before.inGossip != nil && before.membership == membership && before.peersOf == a.others.membership &&
		slices.Equal(before.inGossip, inGossip) && slices.EqualFunc(before.interfaces, interfaces, plan.Interface.Equal) {
		return
	}
	now := attendance{inGossip: inGossip, interfaces: interfaces, membership: membership, peersOf: a.others.membership}
	now.quorum.Expected = len(a.others.expected)
	for name := range a.others.expected {
		if _, sees := slices.BinarySearch(inGossip, name); !sees {
			now.missing = append(now.missing, name)
			if name != a.node {
				now.quorum.OutOfGossip = append(now.quorum.OutOfGossip, a.planner.NodeQuestion(name, interfaces))
			}
		} else if name != a.node {
			now.quorum.InGossip = append(now.quorum.InGossip, a.planner.NodeQuestion(name, interfaces))
		}
	}
	*before = now
}

// greet tells members that are back in sight what was taken over from them, which may be nothing: who does not see this node is to hear it, and
// looks for it then.
func (a *Announcer) greet(alive []string) {
	if slices.Equal(a.others.inSight, alive) {
		return
	}
	for _, name := range alive {
		if _, seen := slices.BinarySearch(a.others.inSight, name); !seen && name != a.node {
			a.tell(name, message{Claims: a.planner.ClaimsAgainst(name)})
		}
	}
	a.others.inSight = alive
}

// suspects are the announcers that should be in the gossip's sight, and are not or have no heartbeats any more, and have addresses.
func (a *Announcer) suspects(interfaces []plan.Interface) (suspects []plan.ProbeTarget) {
	suspect := func(name string, inSight bool) {
		if target, relevant := a.planner.ProbeTarget(name, interfaces); relevant {
			target.InSight, target.Silent = inSight, a.others.watch.suspected[name].silent
			target.Left = a.others.members.Left(name)
			suspects = append(suspects, target)
		}
	}
	for _, name := range a.others.attendance.missing {
		suspect(name, false)
	}
	for name := range a.others.watch.suspected {
		_, expected := a.others.expected[name]
		if _, sees := slices.BinarySearch(a.others.attendance.inGossip, name); sees && expected {
			suspect(name, true)
		}
	}
	return suspects
}

// witnessed are those of the suspects about which this node is to ask. With one of them out of sight, its heirs do: whoever takes an
// address over does so by what it has seen itself, and the others by its claim. All ask if there are several, as it depends on all of
// them who is next, or without a majority in sight, as this node may be cut off itself. Who has begun to ask goes on.
func (a *Announcer) witnessed(suspects []plan.ProbeTarget, quorum liveness.Quorum) (asked []plan.ProbeTarget) {
	asking, unknown := map[string]bool{}, 0
	late := func(s plan.ProbeTarget) bool { return s.InSight && !s.Silent }
	for _, s := range suspects {
		if state, known := a.seen.states[s.Name]; !late(s) && (!known || state != plan.Dead) {
			unknown++
		}
	}
	a.others.leaving = nil
	for _, s := range suspects {
		if a.others.asking[s.Name] || unknown > 1 || !quorum.InSight() || a.planner.Heir(s.Name) {
			asking[s.Name] = true
			asked = append(asked, s)
		} else if !late(s) {
			a.others.leaving = append(a.others.leaving, s.Name)
		}
	}
	a.others.asking = asking
	return asked
}

// inherits says whether this node has become an heir of a member about which it does not ask: whoever was one is gone.
func (a *Announcer) inherits() bool { return slices.ContainsFunc(a.others.leaving, a.planner.Heir) }

// parseMACs are the hardware addresses among texts.
func parseMACs(texts map[string]string) (macs []net.HardwareAddr) {
	for text := range texts {
		if mac, err := net.ParseMAC(text); err == nil {
			macs = append(macs, mac)
		}
	}
	return macs
}
