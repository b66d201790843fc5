package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// wishing is a Service that asks for an address by name and has none.
func wishing(name, ip string) *corev1.Service {
	s := serviceObject(name)
	s.Annotations = map[string]string{"clarionlb.io/addresses": ip}
	s.Status.Conditions[0].Status = metav1.ConditionUnknown
	return s
}

// probed are the nodes that have recorded that nobody answers for an address.
func (l *lan) probed(ip string) (by []string) {
	for _, name := range slices.Sorted(maps.Keys(l.api)) {
		if slices.Contains(l.api[name].Status.Layer2.Probed, ip) {
			by = append(by, name)
		}
	}
	return by
}

const wishIP = "192.168.10.230"

func TestAnAddressThatAServiceAsksForIsProbedByOneNodeBeforeTheServiceHasIt(t *testing.T) {
	l := web(t)
	l.settle()
	l.setService(wishing("app", wishIP))
	l.settle()
	if got := l.probed(wishIP); len(got) != 1 {
		t.Fatalf("probed by %v, want one node", got)
	}
	if owners := l.owners(wishIP); len(owners) > 0 {
		t.Errorf("announced by %v", owners)
	}
	for name, a := range l.api {
		for _, claim := range a.Status.Layer2.Addresses {
			if claim.IP == wishIP {
				t.Errorf("claimed by %s", name)
			}
		}
	}
	prober := l.probed(wishIP)[0]
	l.kill(prober)
	l.api[prober].Status.Layer2.Probed = nil
	l.settle()
	if got := l.probed(wishIP); len(got) != 1 || got[0] == prober {
		t.Errorf("after the death of %s probed by %v", prober, got)
	}
	given := wishing("app", wishIP)
	given.Status = serviceObject("app", wishIP).Status
	l.setService(given)
	l.setEndpoints(endpointsOn("app", "n1", "n2", "n3"))
	l.settle()
	l.owner(wishIP)
	if got := l.probed(wishIP); len(got) > 0 {
		t.Errorf("still recorded by %v when a Service has it", got)
	}
}

func TestAHostThatHasAnAddressWhichAServiceAsksForIsRecordedUntilItIsGone(t *testing.T) {
	l := web(t)
	host := ConflictingHost{Interface: "eth0", MAC: "52:54:00:00:00:99"}
	l.conflicting = map[string]ConflictingHost{wishIP: host}
	l.setService(wishing("app", wishIP))
	l.settle()
	conflicts := func() (all []v1alpha1.Layer2Conflict) {
		for _, a := range l.api {
			all = append(all, a.Status.Layer2.Conflicts...)
		}
		return all
	}
	if all := conflicts(); len(all) != 1 || all[0].IP != wishIP || all[0].MAC != host.MAC || all[0].InUse {
		t.Errorf("conflicts: %+v", all)
	}
	if got := l.probed(wishIP); len(got) > 0 {
		t.Errorf("%v have heard nobody", got)
	}
	l.conflicting = nil
	l.now = l.now.Add(conflictRetry)
	l.settle()
	if all, probed := conflicts(), l.probed(wishIP); len(all) != 0 || len(probed) != 1 {
		t.Errorf("when the host is gone: conflicts %+v, probed by %v", all, probed)
	}
	// It is asked for again as long as nobody has it.
	l.conflicting = map[string]ConflictingHost{wishIP: host}
	l.now = l.now.Add(conflictRetry)
	l.settle()
	if all, probed := conflicts(), l.probed(wishIP); len(all) != 1 || len(probed) != 0 {
		t.Errorf("when the host is back: conflicts %+v, probed by %v", all, probed)
	}
}

func TestAHostThatAnswersForEverythingIsAskedOnceAMinute(t *testing.T) {
	l := web(t)
	l.conflicting = map[string]ConflictingHost{wishIP: {Interface: "eth0", MAC: "52:54:00:00:00:99", Proxy: true}}
	l.setService(wishing("app", wishIP))
	l.settle()
	for name := range l.nodes {
		if plan := l.plan(name); len(plan.Probes) > 0 {
			t.Errorf("%s asks again at once: %v", name, plan.Probes)
		}
	}
	l.deleteService("app")
	l.settle()
	for name, a := range l.api {
		if len(a.Status.Layer2.Conflicts) > 0 {
			t.Errorf("%s has recorded %+v of an address that nobody asks for", name, a.Status.Layer2.Conflicts)
		}
	}
}

func TestWhoProbesWhatServicesAskFor(t *testing.T) {
	disabled := v1alpha1.L2AdvertisementSpec{DuplicateAddressDetection: v1alpha1.DuplicateAddressDetectionDisabled}
	for _, test := range []struct {
		name   string
		change func(l *lan)
		want   int
	}{
		{"a node", func(l *lan) { l.setService(wishing("app", wishIP)) }, 1},
		{"two that ask for one address", func(l *lan) { l.setService(wishing("app", wishIP)); l.setService(wishing("other", wishIP)) }, 1},
		{"by spec.loadBalancerIP", func(l *lan) {
			s := serviceObject("app")
			s.Spec.LoadBalancerIP = wishIP
			l.setService(s)
		}, 1},
		{"one that has another address", func(l *lan) {
			s := wishing("app", wishIP)
			s.Status = serviceObject("app", "192.168.10.231").Status
			l.setService(s)
		}, 1},
		{"an address that another Service has", func(l *lan) { l.setService(wishing("app", vip)) }, 0},
		{"an address of no pool", func(l *lan) { l.setService(wishing("app", "192.168.10.99")) }, 0},
		{"what is no address", func(l *lan) { l.setService(wishing("app", "x")) }, 0},
		{"another class", func(l *lan) {
			s := wishing("app", wishIP)
			class := "other"
			s.Spec.LoadBalancerClass = &class
			l.setService(s)
		}, 0},
		{"one that is being deleted", func(l *lan) {
			s := wishing("app", wishIP)
			s.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			l.setService(s)
		}, 0},
		{"without a probe", func(l *lan) { l.advertise("all", disabled); l.setService(wishing("app", wishIP)) }, 0},
		{"without an L2Advertisement", func(l *lan) {
			l.set(func(v *View) { v.SetL2Advertisement("all", nil) })
			l.setService(wishing("app", wishIP))
		}, 0},
		{"a wish that is taken back", func(l *lan) { l.setService(wishing("app", wishIP)); l.settle(); l.setService(serviceObject("app")) }, 0},
		{"a Service that is gone", func(l *lan) { l.setService(wishing("app", wishIP)); l.settle(); l.deleteService("app") }, 0},
	} {
		l := web(t)
		l.settle()
		test.change(l)
		l.settle()
		found := 0
		for name, a := range l.api {
			found += len(a.Status.Layer2.Probed)
			for ip := range l.nodes[name].view.Wishes() {
				prober := l.nodes[name].planner.Prober(ip)
				if (prober != "") != (test.want > 0) {
					t.Errorf("%s: %s is to be probed by %q", test.name, ip, prober)
				}
			}
		}
		if found != test.want {
			t.Errorf("%s: %d addresses probed, want %d", test.name, found, test.want)
		}
	}
}

func TestWishedAddressesAreSpreadOverTheNodesAndDrainedOnesAreSpared(t *testing.T) {
	l := web(t)
	n3 := nodeObject("n3")
	n3.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
	l.setNode(n3)
	for i := range 20 {
		l.setService(wishing(fmt.Sprintf("app-%d", i), netip.AddrFrom4([4]byte{192, 168, 10, byte(225 + i)}).String()))
	}
	l.settle()
	counts := map[string]int{}
	for name, a := range l.api {
		counts[name] = len(a.Status.Layer2.Probed)
	}
	if counts["n1"]+counts["n2"] != 20 || counts["n1"] == 0 || counts["n2"] == 0 {
		t.Errorf("probed: %v", counts)
	}
}

func TestWishesAreWhatServicesAskForAndDoNotHave(t *testing.T) {
	v := NewView()
	set := func(s *corev1.Service) { v.SetService(nameOf(s), s) }
	wishes := func() string { return fmt.Sprint(maps.Collect(v.Wishes())) }
	set(wishing("a", wishIP))
	set(wishing("b", wishIP))
	if got, want := wishes(), "map["+wishIP+":[default/a default/b]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	given := wishing("a", wishIP)
	given.Status = serviceObject("a", wishIP).Status
	set(given)
	v.SetService(nameOf(wishing("b", wishIP)), nil)
	if got := wishes(); got != "map[]" || len(v.wishes)+len(v.wished) > 0 {
		t.Errorf("left: %s", got)
	}
	for _, s := range []*corev1.Service{wishing("a", wishIP), given} {
		reduced, err := TransformFor("n1")(s)
		if err != nil || !reflect.DeepEqual(newWish(s, v.scope), newWish(reduced.(*corev1.Service), v.scope)) {
			t.Errorf("%v: reduced, it wishes something else", err)
		}
	}
}

func nameOf(s *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
}
