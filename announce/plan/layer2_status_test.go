package plan

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// drainOf is what a node says of its drain; "" if it is not drained.
func (l *lan) drainOf(name string) string {
	if drain, drained := l.nodes[name].planner.Drain(); drained {
		return drain.Sentence()
	}
	return ""
}

func TestADrainedNodeSaysByWhatAndWhatIsStillAnnouncedFromIt(t *testing.T) {
	const done = " and announces no address on layer 2 any more."
	for name, c := range map[string]struct {
		by   []func(*corev1.Node)
		says string
	}{
		"nothing":         {nil, ""},
		"annotation":      {[]func(*corev1.Node){drained}, "the annotation clarionlb.io/drain"},
		"label":           {[]func(*corev1.Node){excluded}, "the label node.kubernetes.io/exclude-from-external-load-balancers"},
		"taint":           {[]func(*corev1.Node){tainted("maintenance")}, "the taint maintenance"},
		"any other taint": {[]func(*corev1.Node){tainted("other")}, ""},
		"not ready":       {[]func(*corev1.Node){notReady}, ""},
		"all at once": {
			[]func(*corev1.Node){tainted("other", "burning", "maintenance"), drained, excluded},
			"the label node.kubernetes.io/exclude-from-external-load-balancers and the annotation clarionlb.io/drain" +
				" and the taint maintenance and the taint burning",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := web(t)
			l.settle()
			owner := l.owner(vip)
			for _, n := range l.nodes {
				n.view.drainTaints = []string{"maintenance", "burning"}
			}
			l.setNode(nodeObject(owner, c.by...))
			says := func(rest string) {
				t.Helper()
				want := ""
				if c.says != "" {
					want = "The node is drained by " + c.says + rest
				}
				if got := l.drainOf(owner); got != want {
					t.Errorf("it says  %s\nwant     %s", got, want)
				}
			}
			l.plan(owner)
			says(" and announces on layer 2 only 1 address until another node does.")
			l.settle()
			says(done)
			l.setNode(nodeObject(owner))
			l.settle()
			if got := l.drainOf(owner); got != "" {
				t.Errorf("after the drain it says %s", got)
			}
		})
	}
}

func TestADrainedNodeSaysWhatNoOtherNodeCanAnnounce(t *testing.T) {
	l := newLAN(t, "n1", "n2", "n3")
	l.setPool(poolObject("lan", "192.168.10.200-192.168.10.250"))
	l.advertise("all", v1alpha1.L2AdvertisementSpec{})
	l.many(9)
	for _, name := range []string{"s00", "s01"} {
		s := local(serviceObject(name, "192.168.10.20"+name[len("s0"):]))
		l.setService(s)
		l.setEndpoints(endpointsOn(name, "n1"))
	}
	l.settle()
	if got := l.carries(); got != "3 3 3" {
		t.Fatalf("they carry %s", got)
	}
	l.setNode(nodeObject("n1", drained))
	l.plan("n1")
	const begins = "The node is drained by the annotation clarionlb.io/drain and announces on layer 2 only "
	if got, want := l.drainOf("n1"), begins+"1 address until another node does and 2 addresses that no other node can."; got != want {
		t.Errorf("it says  %s\nwant     %s", got, want)
	}
	l.settle()
	if got, want := l.drainOf("n1"), begins+"2 addresses that no other node can."; got != want {
		t.Errorf("in the end it says  %s\nwant                %s", got, want)
	}
}

func TestOnlyInterfacesThatCanCarryAnAddressArePublished(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{Interfaces: []string{"eth0", "vlan7"}})
	l.nodes["n1"].interfaces = []Interface{eth0, {Name: "veth1"}, {Name: "vlan7"}}
	l.settle()
	var names []string
	for _, i := range l.api["n1"].Status.Layer2.Interfaces {
		names = append(names, i.Name)
	}
	if !slices.Equal(names, []string{"eth0", "vlan7"}) {
		t.Errorf("published %v", names)
	}
}
