package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

var addr = netip.MustParseAddr

// plan has one node plan and nobody else.
func (l *lan) plan(name string) Layer2Plan {
	n := l.nodes[name]
	n.planner.SetAlive(l.alive)
	n.planner.SetMemberStates(l.absent)
	n.planner.SetInterfaces(n.interfaces)
	plan := n.planner.Plan(l.now)
	n.layer2, n.care = plan.Layer2, plan.Proxied
	return plan
}

// record has a node's status reach the others, and itself.
func (l *lan) record(name string) {
	a := l.api[name].DeepCopy()
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

func TestAPausedMemberKeepsItsAddressesAndOneOtherAnswersForThem(t *testing.T) {
	l := web(t)
	mac := eth0
	mac.MAC = "52:54:00:00:00:01"
	for name := range l.nodes {
		l.nodes[name].interfaces = []Interface{mac}
	}
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.absent = map[string]MemberState{owner: Suspect}
	l.settle()
	if got := l.owners(vip); len(got) > 0 {
		t.Fatalf("%v took the address while nothing was known", got)
	}
	l.absent[owner] = AnnouncerDown
	l.settle()
	caretakers := func() (names []string) {
		for name, n := range l.nodes {
			if c, cares := n.care[addr(vip)]; cares {
				if c.MAC != mac.MAC || !slices.Equal(c.Interfaces, []string{"eth0"}) {
					t.Errorf("answers with %+v", c)
				}
				names = append(names, name)
			}
		}
		return names
	}
	if got := caretakers(); len(got) != 1 || len(l.owners(vip)) > 0 {
		t.Fatalf("answered for by %v, announced by %v", got, l.owners(vip))
	}
	// A new address does not go to it.
	l.setService(serviceObject("other", "192.168.10.223"))
	l.setEndpoints(endpointsOn("other", "n1"))
	l.settle()
	l.owner("192.168.10.223")

	l.absent = nil
	l.boot(owner, mac)
	for name := range l.nodes {
		l.plan(name)
	}
	if got := caretakers(); len(got) != 1 {
		t.Errorf("right after it came back, answered for by %v", got)
	}
	l.settle() // takes a while
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
	if got := caretakers(); len(got) != 0 {
		t.Errorf("later, answered for by %v", got)
	}

	l.kill(owner)
	l.absent = map[string]MemberState{owner: AnnouncerDown}
	l.settle()
	l.absent[owner] = Dead
	l.settle()
	if got := l.owner(vip); got == owner || len(caretakers()) > 0 {
		t.Errorf("announced by %s, answered for by %v", got, caretakers())
	}
}

func TestAMemberWithBlockedGossipKeepsWhatItHas(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.sees = map[string][]string{}
	for _, name := range l.alive {
		if name == owner {
			l.sees[name] = []string{name}
		} else {
			l.sees[name] = slices.DeleteFunc(slices.Clone(l.alive), func(n string) bool { return n == owner })
		}
	}
	l.absent = map[string]MemberState{}
	for _, name := range l.alive {
		l.absent[name] = GossipBlocked
	}
	l.settle()
	if got := l.owner(vip); got != owner {
		t.Errorf("moved to %s", got)
	}
}

func TestSimultaneousStartersShareWhatNobodyHas(t *testing.T) {
	l := web(t)
	l.many(30)
	l.sees = map[string][]string{}
	for name, n := range l.nodes {
		l.sees[name] = []string{name} // the first does not see the others yet
		n.planner.SetWarmingUp(true)
	}
	l.settle()
	if got := l.carries(); got != "0 0 0" {
		t.Fatalf("novices carry %s", got)
	}
	l.sees = nil
	for _, n := range l.nodes {
		n.planner.SetWarmingUp(false)
	}
	l.settle()
	if got := l.carries(); got != "10 10 10" && got != "11 10 10" && got != "10 11 10" && got != "10 10 11" {
		t.Errorf("they carry %s", got)
	}
}

func TestRebalancingOnRequestMovesTheLeast(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.kill("n3")
	l.many(30)
	l.settle()
	l.boot("n3", eth0)
	l.settle()
	if got := l.carries(); got != "15 15 0" {
		t.Fatalf("they carry %s", got)
	}
	before := len(l.moves)
	for name := range l.nodes {
		l.annotate(name, v1alpha1.AnnotationRebalance, "please")
	}
	l.settle()
	if got := l.carries(); got != "10 10 10" {
		t.Errorf("they carry %s", got)
	}
	moved := 0
	for _, m := range l.moves[before:] {
		if strings.HasSuffix(m, string(MoveHandedOver)) {
			moved++
		}
	}
	if moved != 10 {
		t.Errorf("%d moved: %v", moved, l.moves[before:])
	}
	before = len(l.moves)
	l.boot("n1", eth0) // it does not do it again
	l.settle()
	for _, m := range l.moves[before:] {
		if !strings.HasSuffix(m, string(MoveResumed)) {
			t.Errorf("then: %s", m)
		}
	}
	if got := l.api["n1"].Status.Layer2.Rebalanced; got != "please" {
		t.Errorf("acted upon %q", got)
	}
}

func TestAnAddressThatIsHandedOverStaysIfNobodyCanTakeIt(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.kill("n3")
	l.many(4)
	l.settle()
	l.boot("n3", eth0)
	l.settle()
	l.annotate("n1", v1alpha1.AnnotationRebalance, "now")
	l.plan("n1")
	l.record("n1")
	l.kill("n3")
	l.settle()
	if got := l.carries(); got != "2 2" {
		t.Errorf("they carry %s", got)
	}
	for _, c := range l.api["n1"].Status.Layer2.Addresses {
		if c.HandoverTo != "" {
			t.Errorf("still to be handed over: %+v", c)
		}
	}
}

func TestPreferredNodesComeFirst(t *testing.T) {
	prefer := func(weight int32, node string) v1alpha1.PreferredNodeSelector {
		return v1alpha1.PreferredNodeSelector{Weight: weight, Preference: selecting(corev1.LabelHostname, node)[0]}
	}
	l := web(t)
	l.deleteService("web")
	l.advertise("all", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(10, "n1"), prefer(20, "n3")}})
	l.many(6)
	l.settle()
	if got := l.carries(); got != "0 0 6" {
		t.Fatalf("they carry %s", got)
	}
	l.kill("n3")
	l.settle()
	if got := l.carries(); got != "6 0" {
		t.Fatalf("then %s", got)
	}
	l.boot("n3", eth0)
	l.advertise("more", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(15, "n2")}})
	l.advertise("most", v1alpha1.L2AdvertisementSpec{PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{prefer(15, "n2")}})
	l.settle()
	if got := l.carries(); got != "6 0 0" {
		t.Fatalf("nothing moves for a preference, but %s", got)
	}
	for name := range l.nodes {
		l.annotate(name, v1alpha1.AnnotationRebalance, "1")
	}
	l.settle()
	if got := l.carries(); got != "0 6 0" {
		t.Errorf("weights add up: %s", got)
	}
}

func TestBothFamiliesOfAServiceGoTogether(t *testing.T) {
	l := web(t)
	l.deleteService("web")
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250", "2001:db8::200-2001:db8::250"))
	both := eth0
	both.Prefixes = append(slices.Clone(both.Prefixes), netip.MustParsePrefix("2001:db8::/64"))
	for _, n := range l.nodes {
		n.interfaces = []Interface{both}
	}
	for i := range 6 {
		name := fmt.Sprintf("s%d", i)
		l.setService(serviceObject(name, fmt.Sprintf("192.168.10.%d", 200+i), fmt.Sprintf("2001:db8::20%d", i)))
		l.setEndpoints(endpointsOn(name, "n1"))
		l.setEndpoints(endpoints6On(name, "n1"))
	}
	check := func() {
		t.Helper()
		l.settle()
		for i := range 6 {
			if four, six := l.owner(fmt.Sprintf("192.168.10.%d", 200+i)), l.owner(fmt.Sprintf("2001:db8::20%d", i)); four != six {
				t.Errorf("s%d is announced by %s and %s", i, four, six)
			}
		}
	}
	check()
	if got := l.carries(); got != "4 4 4" {
		t.Errorf("they carry %s", got)
	}
	l.kill("n2")
	check()
}

func TestAnAddressOfTwoPausedMembersStaysWithNeitherOfThem(t *testing.T) {
	l := web(t)
	l.settle()
	owner := l.owner(vip)
	l.kill(owner)
	l.settle()
	heir := l.owner(vip)
	l.kill(heir)
	l.absent = map[string]MemberState{owner: AnnouncerDown, heir: Dead}
	l.settle()
	if got := l.owner(vip); got == owner || got == heir {
		t.Errorf("announced by %s", got)
	}
}

func TestSharedAddressesBringTheirOtherFamilyAlong(t *testing.T) {
	v := NewView()
	set := func(name string, ips ...string) {
		v.SetService(types.NamespacedName{Namespace: "default", Name: name}, serviceObject(name, ips...))
	}
	set("a", "192.168.10.1")
	set("b", "192.168.10.1", "fd00::1")
	set("c", "fd00::1", "192.168.10.3")
	set("d", "192.168.10.4")
	for ip, want := range map[string]string{
		"192.168.10.1": "192.168.10.1", "fd00::1": "192.168.10.1", "192.168.10.3": "192.168.10.1", "192.168.10.4": "",
	} {
		if got := v.group(addr(ip)); got != want {
			t.Errorf("%s is with %q, want %q", ip, got, want)
		}
	}
}
