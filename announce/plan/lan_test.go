package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// lan is a cluster whose announcers see each other and the API, without any of the machinery: after
// every change each node plans, and what it says is recorded as its announcer would.
type lan struct {
	t     testing.TB
	nodes map[string]*planned
	alive []string
	now   time.Time
	// objects are repeated to nodes that join later.
	objects []func(*View)
	api     map[string]*v1alpha1.Announcer
	version int // of the last object that was recorded
	moves   []string
	// apiAway says that nothing is recorded, and blind has the nodes for which the API is away.
	apiAway bool
	blind   map[string]bool
	// states are of the members that the others do not see; conflicting are hosts that answer for
	// an address and are no nodes.
	states      map[string]MemberState
	conflicting map[string]ConflictingHost
	// serving has which node answers for an address without having claimed it.
	serving map[string]string
	// sees has which members a node sees, if not all that are alive.
	sees map[string][]string
}

// planned is a node, and what its last plan has it do.
type planned struct {
	view       *View
	planner    *Layer2Planner
	interfaces []Interface
	layer2     map[netip.Addr][]string
	proxied    map[netip.Addr]Proxy
}

var eth0 = Interface{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.10.0/24")}, Routes: []Route{default4}}

// default4 and default6 are default routes.
var (
	default4 = Route{Prefix: netip.MustParsePrefix("0.0.0.0/0")}
	default6 = Route{Prefix: netip.MustParsePrefix("::/0")}
)

func newLAN(t testing.TB, names ...string) *lan {
	l := &lan{
		t:     t,
		nodes: map[string]*planned{},
		now:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		api:   map[string]*v1alpha1.Announcer{},
	}
	for _, name := range names {
		l.set(func(v *View) { v.SetNode(name, nodeObject(name)) })
		l.api[name] = &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	for _, name := range names {
		l.boot(name, eth0)
	}
	return l
}

// boot starts the announcer of a node anew, with nothing but what the API says and what the others tell, whom it asks.
func (l *lan) boot(name string, interfaces ...Interface) {
	view := NewView()
	for _, set := range l.objects {
		set(view)
	}
	for n, a := range l.api {
		view.SetAnnouncer(n, a)
	}
	l.nodes[name] = &planned{view: view, planner: NewLayer2Planner(view, name), interfaces: interfaces}
	l.alive = slices.Compact(slices.Sorted(slices.Values(append(l.alive, name))))
	l.tell(name)
}

// kill ends a node without a word.
func (l *lan) kill(name string) {
	delete(l.nodes, name)
	l.alive = slices.DeleteFunc(slices.Clone(l.alive), func(n string) bool { return n == name })
}

// set changes an object of the API.
func (l *lan) set(set func(*View)) {
	l.objects = append(l.objects, set)
	for _, n := range l.nodes {
		set(n.view)
	}
}

// settle has all nodes plan and record until nothing changes any more.
func (l *lan) settle() {
	l.t.Helper()
	l.readAll()
	idle := 0
	for range 20 {
		changed, wake := l.planAll()
		changed = l.recordAll() || changed
		if idle++; changed {
			idle = 0
		}
		// While the API is away, takeovers are told again and again.
		if !changed && (wake.IsZero() || wake.After(l.now.Add(recordTimeout)) || (l.apiAway || len(l.blind) > 0) && idle > 4) {
			return
		} else if !changed {
			l.now = wake
		}
	}
	l.t.Fatalf("the nodes do not come to rest:\n%s", strings.Join(l.moves, "\n"))
}

// planAll has all nodes plan once, and hear what the others announce and tell. It returns whether
// anything has changed, and when to plan again.
func (l *lan) planAll() (changed bool, wake time.Time) {
	l.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		n := l.nodes[name]
		sees, limited := l.sees[name]
		if !limited {
			sees = l.alive
		}
		n.planner.SetAlive(sees)
		states := maps.Clone(l.states)
		delete(states, name)
		n.planner.SetMemberStates(states)
		n.planner.SetInterfaces(connected(n.interfaces))
		plan := n.planner.Plan(l.now)
		n.layer2, n.proxied = plan.Layer2, plan.Proxied
		for ip := range plan.Probes {
			serving := l.serving[ip.String()]
			for answering, other := range l.nodes {
				if _, answers := other.layer2[ip]; answers && answering != name {
					serving = answering
				}
			}
			if serving == name {
				serving = "" // a node does not hear itself
			}
			changed = changed || !n.planner.takeovers[ip].heard // such a one is asked for again and again
			n.planner.ReportProbe(ip, l.conflicting[ip.String()], serving, l.now)
		}
		wake = Earlier(wake, plan.Wake)
		announced := slices.Clone(plan.Reannounce)
		for _, m := range plan.Moves {
			if m.To == name {
				announced = append(announced, m.Address)
			}
			l.moves = append(l.moves, fmt.Sprintf("%s: %s %s->%s %s", name, m.Address, m.From, m.To, m.Reason))
		}
		for other, hearer := range l.nodes {
			if other == name {
				continue // a node does not hear itself
			}
			for _, ip := range announced {
				hearer.planner.ObserveAnnouncement(ip, name, l.now)
			}
			if slices.Contains(sees, other) {
				against := hearer.planner.ObserveTakeovers(name, plan.Takeovers, l.now)
				n.planner.ObserveClaims(other, against, l.now)
			}
		}
		changed = changed || plan.Changed
	}
	l.checkOneOwner()
	return changed, wake
}

// recordAll writes down what all nodes say of themselves, unless the API is away, and returns
// whether that is news.
func (l *lan) recordAll() (changed bool) {
	if l.apiAway {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		if l.blind[name] {
			continue
		}
		status := v1alpha1.AnnouncerStatus{Layer2: l.nodes[name].planner.Status()}
		changed = changed || !apiequality.Semantic.DeepEqual(status, l.api[name].Status)
		l.api[name] = &v1alpha1.Announcer{ObjectMeta: *l.api[name].ObjectMeta.DeepCopy(), Status: status}
		l.version++
		l.api[name].ResourceVersion = fmt.Sprint(l.version)
	}
	l.readAll()
	return changed
}

// readAll has all nodes that the API is there for see what is recorded.
func (l *lan) readAll() {
	if l.apiAway {
		return
	}
	for reader, n := range l.nodes {
		if l.blind[reader] {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(l.api)) {
			n.view.SetAnnouncer(name, l.api[name])
		}
	}
}

// checkOneOwner fails if two nodes announce an address, unless all but one know that they are not
// its owner, and only wait for the one that is. Nodes that do not see each other, or the API, may
// disagree for a while.
func (l *lan) checkOneOwner() {
	l.t.Helper()
	if l.sees != nil || l.apiAway || len(l.blind) > 0 {
		return
	}
	owned := map[netip.Addr]string{}
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		n := l.nodes[name]
		for ip := range n.layer2 {
			if n.planner.round.Decision(ip).Owner != name {
				continue
			}
			if other, taken := owned[ip]; taken {
				l.t.Fatalf("both %s and %s take %s for theirs", other, name, ip)
			}
			owned[ip] = name
		}
	}
}

// owners returns which nodes answer for an address.
func (l *lan) owners(ip string) []string {
	var owners []string
	for name, n := range l.nodes {
		if _, answers := n.layer2[netip.MustParseAddr(ip)]; answers {
			owners = append(owners, name)
		}
	}
	slices.Sort(owners)
	return owners
}

func (l *lan) owner(ip string) string {
	l.t.Helper()
	owners := l.owners(ip)
	if len(owners) != 1 {
		l.t.Fatalf("%s is announced by %v, want exactly one node", ip, owners)
	}
	return owners[0]
}

func (l *lan) explain(node, ip string) string {
	return l.nodes[node].planner.Explain(netip.MustParseAddr(ip)).String()
}

func (l *lan) setService(s *corev1.Service) {
	l.set(func(v *View) { v.SetService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s) })
}

func (l *lan) deleteService(name string) {
	l.set(func(v *View) { v.SetService(types.NamespacedName{Namespace: "default", Name: name}, nil) })
}

func (l *lan) setEndpoints(s *discoveryv1.EndpointSlice) {
	l.set(func(v *View) { v.SetEndpointSlice(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s) })
}

func (l *lan) setPool(p *v1alpha1.IPAddressPool) { l.set(func(v *View) { v.SetPool(p.Name, p) }) }

func (l *lan) setNode(n *corev1.Node) { l.set(func(v *View) { v.SetNode(n.Name, n) }) }

func (l *lan) advertise(name string, spec v1alpha1.L2AdvertisementSpec) {
	l.set(func(v *View) {
		v.SetL2Advertisement(name, &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
	})
}

// vip is the address of the Service that web sets up.
const vip = "192.168.10.222"

// web is a cluster of three nodes with one Service, served from n1 and n2.
func web(t testing.TB) *lan {
	l := newLAN(t, "n1", "n2", "n3")
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	l.setService(serviceObject("web", vip))
	l.setEndpoints(endpointsOn("web", "n1", "n2"))
	return l
}

// plan has one node plan and nobody else.
func (l *lan) plan(name string) Layer2Plan {
	n := l.nodes[name]
	n.planner.SetAlive(l.alive)
	n.planner.SetMemberStates(l.states)
	n.planner.SetInterfaces(connected(n.interfaces))
	plan := n.planner.Plan(l.now)
	n.layer2, n.proxied = plan.Layer2, plan.Proxied
	return plan
}

// record has a node's status reach the others, and itself.
func (l *lan) record(name string) {
	a := l.api[name].DeepCopy()
	l.version++
	a.ResourceVersion = fmt.Sprint(l.version)
	a.Status.Layer2 = l.nodes[name].planner.Status()
	l.api[name] = a
	for _, n := range l.nodes {
		n.view.SetAnnouncer(name, a)
	}
}

// annotate changes an annotation of an Announcer.
func (l *lan) annotate(name, key, value string) {
	a := l.api[name].DeepCopy()
	metav1.SetMetaDataAnnotation(&a.ObjectMeta, key, value)
	l.api[name] = a
	for _, n := range l.nodes {
		n.view.SetAnnouncer(name, a)
	}
}

// carries counts the addresses that each node announces.
func (l *lan) carries() string {
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		counts = append(counts, fmt.Sprint(len(l.nodes[name].layer2)))
	}
	return strings.Join(counts, " ")
}

// many adds Services with one address each.
func (l *lan) many(n int) {
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i)))
		l.setEndpoints(endpointsOn(name, "n1", "n2", "n3"))
	}
}

// connected adds the routes that the kernel has for the networks of addresses.
func connected(interfaces []Interface) []Interface {
	ranks := map[netip.Prefix]int{}
	out := slices.Clone(interfaces)
	for n, i := range out {
		out[n].Routes = slices.Clone(i.Routes)
		for _, p := range i.Prefixes {
			out[n].Routes = append(out[n].Routes, Route{p, ranks[p], true})
			ranks[p]++
		}
	}
	return out
}
