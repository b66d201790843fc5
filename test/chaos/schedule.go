package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults. What they do ends with them.
const (
	PowerOff       Kind = "power-off"       // a node is without power
	LinkCut        Kind = "link-cut"        // a node's cable to the LAN is pulled
	ManagementCut  Kind = "management-cut"  // a node does not reach the API server
	Mute           Kind = "mute"            // nothing that a node sends on the LAN arrives
	Deaf           Kind = "deaf"            // nothing that is sent to a node on the LAN arrives
	GossipBlocked  Kind = "gossip-blocked"  // a firewall drops a node's gossip
	Partition      Kind = "partition"       // two nodes are cut off from the others, but not from each other
	Suspend        Kind = "suspend"         // a node is stopped as a virtual machine is
	KillAnnouncer  Kind = "kill-announcer"  // an announcer dies
	PauseAnnouncer Kind = "pause-announcer" // an announcer does not run
	KillProxy      Kind = "kill-proxy"      // a node has no kube-proxy
	PauseProxy     Kind = "pause-proxy"     // a kube-proxy does not run
	PauseKubelet   Kind = "pause-kubelet"   // a kubelet does not run, and the node's pods go on
	Drain          Kind = "drain"           // a node's addresses are to be announced from others

	KillLeader  Kind = "kill-leader"  // the cloud-controller-manager that leads dies
	PauseLeader Kind = "pause-leader" // it does not run
	RolloutCCM  Kind = "rollout-ccm"
	Rollout     Kind = "rollout-announcers"
	RolloutApp  Kind = "rollout-app" // the pods behind the Services are replaced

	PauseAPI   Kind = "pause-api"   // the API server does not run
	PauseEtcd  Kind = "pause-etcd"  // etcd does not run
	SlowEtcd   Kind = "slow-etcd"   // etcd runs in fits and starts, as one with a slow disk does
	RestartAPI Kind = "restart-api" // the control plane dies and starts again
	Restore    Kind = "restore"     // etcd is restored from the copy that was made when the fault began
	RotateKey  Kind = "rotate-key"  // the key of the gossip is deleted, so that another one is made

	PauseRouter Kind = "pause-router" // the BGP router does not run
	ResetRouter Kind = "reset-router" // the BGP router resets all sessions

	BadPool          Kind = "bad-pool"          // the pool cannot be read any more
	OverlappingPool  Kind = "overlapping-pool"  // another pool has the same addresses
	DeletedPool      Kind = "deleted-pool"      // the pool is deleted and created again
	BadAdvertisement Kind = "bad-advertisement" // the L2Advertisement names what does not exist
	BadPeer          Kind = "bad-peer"          // the BGPPeer names a BFDProfile that does not exist
	ChangedPeer      Kind = "changed-peer"      // the BGPPeer has another hold time, so that sessions are reset

	// These change guests: Services that come, go and change. They stay as the fault leaves them.
	ComeOrGo   Kind = "guest-comes-or-goes"
	Wish       Kind = "guest-wishes" // for an address of the pool by name, or for none
	Share      Kind = "guest-shares" // an address with another guest, or no more
	ForeignLB  Kind = "guest-of-another-class"
	TypeChange Kind = "guest-changes-type"
	Policy     Kind = "guest-changes-policy" // externalTrafficPolicy
)

// Guests is how many Services come, go and change.
const Guests = 6

// What a fault takes for itself while it lasts. No two faults have the same at once. A node has several faults at once, but only if
// they are about different parts of it; what is about the whole node takes them all.
const (
	ofNode       = "n"
	ofLAN        = "lan"
	ofManagement = "management"
	ofAnnouncer  = "announcer"
	ofProxy      = "proxy"
	ofKubelet    = "kubelet"
	ofDrain      = "drain"

	ofLeader = "leader"
	ofPods   = "announcers"
	ofApp    = "app"
	ofAPI    = "api"
	ofRouter = "router"
	ofPool   = "pool"
	ofL2     = "l2advertisement"
	ofPeer   = "peer"
	ofGuest  = "guest"
	ofKey    = "key"
)

// partsOfNode are what a fault of the whole node takes.
var partsOfNode = []string{ofLAN, ofManagement, ofAnnouncer, ofProxy, ofKubelet, ofDrain}

// trait is what a schedule needs to know of a kind.
type trait struct {
	kind Kind
	of   string
	// nodes is how many nodes it concerns.
	nodes int
	// weight is how often it happens, beside others.
	weight int
	// longest is how long it lasts at most, none if 0: it is done at once.
	longest time.Duration
}

var traits = []trait{
	{PowerOff, ofNode, 1, 6, 12 * time.Second},
	{LinkCut, ofLAN, 1, 5, 10 * time.Second},
	{ManagementCut, ofManagement, 1, 4, 12 * time.Second},
	{Mute, ofLAN, 1, 3, 12 * time.Second},
	{Deaf, ofLAN, 1, 3, 12 * time.Second},
	{GossipBlocked, ofLAN, 1, 3, 10 * time.Second},
	{Partition, ofNode, 2, 3, 12 * time.Second},
	{Suspend, ofNode, 1, 4, 10 * time.Second},
	{KillAnnouncer, ofAnnouncer, 1, 5, 0},
	{PauseAnnouncer, ofAnnouncer, 1, 4, 8 * time.Second},
	{KillProxy, ofProxy, 1, 2, 8 * time.Second},
	{PauseProxy, ofProxy, 1, 2, 8 * time.Second},
	{PauseKubelet, ofKubelet, 1, 2, 12 * time.Second},
	{Drain, ofDrain, 1, 3, 10 * time.Second},
	{KillLeader, ofLeader, 0, 4, 0},
	{PauseLeader, ofLeader, 0, 2, 12 * time.Second},
	{RolloutCCM, ofLeader, 0, 1, 0},
	{Rollout, ofPods, 0, 2, 0},
	{RolloutApp, ofApp, 0, 2, 0},
	{PauseAPI, ofAPI, 0, 4, 10 * time.Second},
	{PauseEtcd, ofAPI, 0, 2, 8 * time.Second},
	{SlowEtcd, ofAPI, 0, 2, 10 * time.Second},
	{RestartAPI, ofAPI, 0, 2, 0},
	{Restore, ofAPI, 0, 3, 8 * time.Second},
	{RotateKey, ofKey, 0, 1, 0},
	{PauseRouter, ofRouter, 0, 2, 8 * time.Second},
	{ResetRouter, ofRouter, 0, 2, 0},
	{BadPool, ofPool, 0, 2, 10 * time.Second},
	{OverlappingPool, ofPool, 0, 2, 10 * time.Second},
	{DeletedPool, ofPool, 0, 2, 8 * time.Second},
	{BadAdvertisement, ofL2, 0, 3, 10 * time.Second},
	{BadPeer, ofPeer, 0, 2, 10 * time.Second},
	{ChangedPeer, ofPeer, 0, 1, 8 * time.Second},
	{ComeOrGo, ofGuest, 0, 8, 0},
	{Wish, ofGuest, 0, 5, 0},
	{Share, ofGuest, 0, 4, 0},
	{ForeignLB, ofGuest, 0, 2, 0},
	{TypeChange, ofGuest, 0, 3, 0},
	{Policy, ofGuest, 0, 3, 0},
}

func traitOf(kind Kind) trait {
	i := slices.IndexFunc(traits, func(t trait) bool { return t.kind == kind })
	return traits[i]
}

// Fault is one fault of a round.
type Fault struct {
	Kind Kind
	// At is when it begins, from the beginning of the round; For how long it lasts, 0 if it is done at once.
	At, For time.Duration
	// Nodes are the numbers of the nodes that it is about, from 1 on.
	Nodes []int
	// Choice is a random number for what else is to be chosen, such as a guest.
	Choice int
}

// String is the fault as it is shown in timelines.
func (f Fault) String() string {
	var text strings.Builder
	text.WriteString(string(f.Kind))
	for _, node := range f.Nodes {
		fmt.Fprintf(&text, " n%d", node)
	}
	if traitOf(f.Kind).of == ofGuest {
		fmt.Fprintf(&text, " guest-%d (%d)", f.guest(), f.Choice/Guests)
	}
	if f.For > 0 {
		fmt.Fprintf(&text, " for %.1fs", f.For.Seconds())
	}
	return text.String()
}

func (f Fault) guest() int { return f.Choice % Guests }

// claims are what the fault takes for itself.
func (f Fault) claims() []string {
	of := traitOf(f.Kind).of
	if of == ofGuest {
		return []string{fmt.Sprint(of, f.guest())}
	}
	if len(f.Nodes) == 0 {
		return []string{of}
	}
	parts := []string{of}
	if of == ofNode {
		parts = partsOfNode
	}
	var claims []string
	for _, n := range f.Nodes {
		for _, part := range parts {
			claims = append(claims, fmt.Sprint(part, n))
		}
	}
	return claims
}

// Round is what happens between two moments at which everything works.
type Round struct {
	Seed   uint64
	Number int
	// Faults are in the order in which they begin.
	Faults []Fault
}

// turmoil is how long faults last, from the first beginning to the last end.
const turmoil = 20 * time.Second

// NewRound returns a round of a run. It depends on nothing but its arguments. In every third round, beginning with the first, there is
// one fault alone, for what is promised of single failures.
func NewRound(seed uint64, number, nodes int) Round {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	round := Round{Seed: seed, Number: number}
	count := 1
	if number%3 != 0 {
		count = 4 + random.IntN(9)
	}
	busy := map[string][]Fault{}
	for len(round.Faults) < count {
		f := randomFault(random, nodes)
		if number%3 == 0 && f.For > 0 {
			f.At, f.For = time.Second, max(f.For, 6*time.Second) // until all have acted upon it
		}
		if slices.ContainsFunc(f.claims(), func(c string) bool { return slices.ContainsFunc(busy[c], f.overlaps) }) {
			continue
		}
		for _, c := range f.claims() {
			busy[c] = append(busy[c], f)
		}
		round.Faults = append(round.Faults, f)
	}
	slices.SortStableFunc(round.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return round
}

func randomFault(random *rand.Rand, nodes int) Fault {
	total := 0
	for _, t := range traits {
		total += t.weight
	}
	drawn, t := random.IntN(total), trait{}
	for _, t = range traits {
		if drawn -= t.weight; drawn < 0 {
			break
		}
	}
	f := Fault{Kind: t.kind, Choice: random.IntN(1000)}
	for _, n := range random.Perm(nodes)[:t.nodes] {
		f.Nodes = append(f.Nodes, n+1)
	}
	if t.longest > 0 {
		const shortest = 200 * time.Millisecond
		f.For = shortest + randomTime(random, t.longest-shortest)
	}
	f.At = randomTime(random, turmoil-f.For)
	return f
}

// randomTime is a time below a limit, in milliseconds.
func randomTime(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(limit.Milliseconds())) * time.Millisecond
}

// overlaps says whether two faults are there at once. What is done at once takes a second.
func (f Fault) overlaps(other Fault) bool {
	return f.At < other.end() && other.At < f.end()
}

func (f Fault) end() time.Duration { return f.At + max(f.For, time.Second) }

// String is the whole round, a fault in a line.
func (r Round) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "round %d of seed %d", r.Number, r.Seed)
	for _, f := range r.Faults {
		fmt.Fprintf(&text, "\n  %5.1fs %s", f.At.Seconds(), f)
	}
	return text.String()
}
