package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// checkRelays expects that what the owner of an address does not know comes past every node that
// had the address and is there, once, and that no other node relays it.
func (l *lan) checkRelays(rt *rapid.T, ip, owner string) {
	var past []string
	at := owner
	for {
		relay, relays := l.nodes[at].planner.relays.to[addr(ip)]
		if !relays {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
			if slices.Contains(l.nodes[name].view.nodes[name].addresses, relay.To) {
				at = name
			}
		}
		if past = append(past, at); len(past) > len(l.nodes) {
			rt.Fatalf("what is sent to %s goes round: from %s past %v", ip, owner, past)
		}
	}
	want := slices.DeleteFunc(slices.Clone(l.nodes[owner].planner.claims.owned[addr(ip)].previous), func(name string) bool {
		n := l.nodes[name]
		return n == nil || !slices.ContainsFunc(n.interfaces, func(i Interface) bool { return i.Name == eth0.Name })
	})
	if l.sees == nil && !l.apiAway && !slices.Equal(past, want) {
		rt.Fatalf("what is sent to %s goes from %s past %v, want %v", ip, owner, past, want)
	}
}

// markedAlive says whether any node takes another one for alive because of what that has recorded.
func (l *lan) markedAlive(name string) bool {
	for _, n := range l.nodes {
		if _, marked := n.planner.live.markedAlive[name]; marked {
			return true
		}
	}
	return false
}

// blockGossip has the gossip of a node be blocked, of which the others know this.
func (l *lan) blockGossip(name string, known MemberState) {
	l.sees, l.states = map[string][]string{}, map[string]MemberState{}
	others := slices.DeleteFunc(slices.Clone(l.alive), func(n string) bool { return n == name })
	for _, other := range others {
		l.sees[other], l.states[other] = others, GossipBlocked
	}
	l.sees[name], l.states[name] = []string{name}, known
}

// Whatever happens to a cluster, once it has come to rest every address that can be announced is
// announced by exactly one node that may, and by the one that had it if that still may.
func TestEveryAddressHasOneOwnerThroughAnything(t *testing.T) {
	const services = 6
	names := []string{"n1", "n2", "n3", "n4"}
	ip := func(i int) string { return fmt.Sprintf("192.168.10.%d", 200+i) }
	rapid.Check(t, func(rt *rapid.T) {
		l := newLAN(t, names...)
		l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
		l.advertise("all", v1alpha1.L2AdvertisementSpec{})
		excluded, linkDown, reluctant := map[string]bool{}, map[string]bool{}, map[string]func(*corev1.Node){}
		setNode := func(n string) {
			l.setNode(withAddresses(n, index(n), func(o *corev1.Node) {
				o.Labels[corev1.LabelNodeExcludeBalancers] = fmt.Sprint(excluded[n])
				if change := reluctant[n]; change != nil {
					change(o)
				}
			}))
		}
		for _, n := range names {
			setNode(n)
		}
		endpoints, isLocal, exists := map[int][]string{}, map[int]bool{}, map[int]bool{}
		for i := range services {
			name := fmt.Sprintf("s%d", i)
			exists[i], endpoints[i] = true, names
			l.setService(serviceObject(name, ip(i)))
			l.setEndpoints(endpointsOn(name, names...))
		}

		may := func(node string, i int) bool {
			if !exists[i] || l.nodes[node] == nil || excluded[node] || linkDown[node] {
				return false
			}
			return len(endpoints[i]) > 0 && (!isLocal[i] || slices.Contains(endpoints[i], node))
		}
		owner, requests := map[int]string{}, 0
		behind := false // says that a node has not seen the API since it was away for that node alone
		// blocked is the node whose gossip is blocked, and suspect says that the others do not know whether it is alive.
		blocked, suspect := "", false
		gossip := func() {
			l.sees, l.states = nil, nil
			switch {
			case l.nodes[blocked] == nil:
			case suspect && reluctant[blocked] == nil: // who is not ready and not known to be alive is dead
				l.blockGossip(blocked, Suspect)
			default:
				l.blockGossip(blocked, GossipBlocked)
			}
		}
		check := func() {
			gossip()
			l.settle()
			behind = len(l.blind) > 0 || behind && l.apiAway
			l.now = l.now.Add(max(previousOwnerGrace, heardPeriod)) // the dead are not relayed to any more, and all have noticed who has what
			l.settle()
			for i := range services {
				var fit, lastResort []string
				for _, n := range names {
					if may(n, i) && reluctant[n] == nil {
						fit = append(fit, n)
					} else if may(n, i) {
						lastResort = append(lastResort, n)
					}
				}
				if len(fit) == 0 {
					fit = lastResort
				}
				owners := l.owners(ip(i))
				if len(fit) == 0 && len(owners) > 0 || len(fit) > 0 && (len(owners) != 1 || !slices.Contains(fit, owners[0])) {
					rt.Fatalf("%s is announced by %v, may be by %v", ip(i), owners, fit)
				}
				if slices.Contains(fit, owner[i]) && owners[0] != owner[i] && !l.apiAway && len(l.blind) == 0 && blocked == "" {
					rt.Fatalf("%s moved from %s to %s for nothing", ip(i), owner[i], owners[0])
				}
				owner[i] = ""
				if len(owners) > 0 {
					owner[i] = owners[0]
				}
				if len(owners) > 0 && !behind && blocked == "" { // who does not know of the last move relays as before it
					l.checkRelays(rt, ip(i), owners[0])
				}
			}
		}
		actions := map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"service": func(rt *rapid.T) {
				i := rapid.IntRange(0, services-1).Draw(rt, "service")
				if l.apiAway || len(l.blind) > 0 {
					return
				}
				if exists[i] = !exists[i]; !exists[i] {
					l.deleteService(fmt.Sprintf("s%d", i))
					return
				}
				s := serviceObject(fmt.Sprintf("s%d", i), ip(i))
				if isLocal[i] = rapid.Bool().Draw(rt, "local"); isLocal[i] {
					local(s)
				}
				l.setService(s)
			},
			"endpoints": func(rt *rapid.T) {
				i := rapid.IntRange(0, services-1).Draw(rt, "service")
				if l.apiAway || len(l.blind) > 0 {
					return
				}
				var on []string
				for _, n := range names {
					if rapid.Bool().Draw(rt, n) {
						on = append(on, n)
					}
				}
				endpoints[i] = on
				l.setEndpoints(endpointsOn(fmt.Sprintf("s%d", i), on...))
			},
			"power": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				switch {
				case l.apiAway && l.markedAlive(n): // of its death, its Node tells alone
				case l.nodes[n] != nil && len(l.nodes) > 1:
					l.kill(n)
					if !l.apiAway && blocked != "" {
						l.setNode(withAddresses(n, index(n), notReady))
					}
				case l.nodes[n] == nil && !l.apiAway && !l.blind[n]:
					delete(linkDown, n)
					setNode(n)
					l.boot(n, eth0)
				}
			},
			"exclude": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.apiAway || len(l.blind) > 0 {
					return
				}
				excluded[n] = !excluded[n]
				setNode(n)
			},
			"drain or not ready": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.apiAway || len(l.blind) > 0 {
					return
				}
				reluctant[n] = rapid.SampledFrom([]func(*corev1.Node){nil, drained, notReady}).Draw(rt, "how")
				setNode(n)
			},
			"restart": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.nodes[n] == nil || l.apiAway || len(l.blind) > 0 || blocked != "" {
					return
				}
				interfaces := l.nodes[n].interfaces
				l.kill(n)
				l.states = map[string]MemberState{n: AnnouncerDown}
				for other := range l.nodes {
					l.plan(other)
				}
				l.boot(n, interfaces...)
				l.states = nil
			},
			"rebalance": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.apiAway || len(l.blind) > 0 || l.nodes[n] == nil {
					return
				}
				requests++
				l.annotate(n, v1alpha1.AnnotationRebalance, fmt.Sprint(requests))
				l.settle()
				for i := range services {
					owner[i] = "" // it may have moved, for a reason
				}
			},
			"link": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.nodes[n] == nil || l.apiAway || len(l.blind) > 0 {
					return
				}
				linkDown[n] = !linkDown[n]
				l.nodes[n].interfaces = []Interface{eth0}
				if linkDown[n] {
					l.nodes[n].interfaces = []Interface{{Name: "eth1", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
				}
			},
			"API": func(*rapid.T) { l.apiAway = !l.apiAway },
			"gossip of one": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if len(l.blind) > 0 || blocked == "" && l.nodes[n] == nil {
					return
				}
				if blocked == "" {
					blocked, suspect = n, rapid.Bool().Draw(rt, "suspect")
				} else {
					blocked = ""
					clear(owner) // of two that were to have an address as planned, one has waited to be able to tell the other
				}
			},
			"API of one": func(rt *rapid.T) {
				n := rapid.SampledFrom(names).Draw(rt, "node")
				if l.nodes[n] == nil || blocked != "" {
					return
				}
				if len(l.blind) == 0 {
					l.blind = map[string]bool{n: true}
				} else {
					l.blind = nil
				}
			},
		}
		rt.Repeat(actions)
	})
}
