package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// change is something that a View may be told, by name.
type change struct {
	name string
	tell func(*View)
}

func announcerOn(name string, interfaces ...string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, i := range interfaces {
		a.Status.Layer2.Interfaces = append(a.Status.Layer2.Interfaces, v1alpha1.Layer2Interface{Name: i, MAC: "02:00:00:00:00:01"})
	}
	return a
}

func withSession(state v1alpha1.BGPState) *v1alpha1.Announcer {
	a := announcerOn("n1")
	a.Status.BGP.Peers = []v1alpha1.BGPSession{{Name: "tor", State: state}}
	return a
}

func kubeProxyOn(name string, status metav1.ConditionStatus) *v1alpha1.Announcer {
	a := announcerOn(name)
	if status != "" {
		a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionKubeProxy, Status: status}}
	}
	return a
}

// Cost follows change: what concerns nobody has nothing planned anew, and nothing that concerns somebody is left as it was.
func TestWhatIsPlannedAnewAfterAChange(t *testing.T) {
	secret := func(password, version string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{ResourceVersion: version},
			Data:       map[string][]byte{corev1.BasicAuthPasswordKey: []byte(password)},
		}
	}
	for _, tt := range []struct {
		name           string
		before, after  func(*View)
		layer2, routes bool
		// nodes are those of which routes go by what has become of them.
		nodes string
	}{
		{"a pool", nil, func(v *View) { v.SetPool("lan", poolObject("lan", "10.0.0.0/24")) }, true, true, ""},
		{"the same pool", func(v *View) { v.SetPool("lan", poolObject("lan", "10.0.0.0/24")) },
			func(v *View) { v.SetPool("lan", poolObject("lan", "10.0.0.0/24")) }, false, false, ""},
		{"a pool that goes", func(v *View) { v.SetPool("lan", poolObject("lan", "10.0.0.0/24")) },
			func(v *View) { v.SetPool("lan", nil) }, true, true, ""},
		{"one that goes and was not known", nil, func(v *View) { v.SetPool("lan", nil) }, false, false, ""},
		{"a Node", nil, func(v *View) { v.SetNode("n1", nodeObject("n1")) }, true, false, "[n1]"},
		{"the same Node", func(v *View) { v.SetNode("n1", nodeObject("n1")) }, func(v *View) { v.SetNode("n1", nodeObject("n1")) }, false, false, "[]"},
		{"a Node that goes", func(v *View) { v.SetNode("n1", nodeObject("n1")) }, func(v *View) { v.SetNode("n1", nil) }, true, false, "[n1]"},
		{"a password", nil, func(v *View) { v.SetSecret("tor", secret("a", "1")) }, false, true, ""},
		{"an empty one", nil, func(v *View) { v.SetSecret("tor", secret("", "")) }, false, true, ""},
		{"the same password", func(v *View) { v.SetSecret("tor", secret("a", "1")) }, func(v *View) { v.SetSecret("tor", secret("a", "1")) }, false, false, "[]"},
		{"another password", func(v *View) { v.SetSecret("tor", secret("a", "1")) }, func(v *View) { v.SetSecret("tor", secret("b", "2")) }, false, true, ""},
		{"a password that goes", func(v *View) { v.SetSecret("tor", secret("a", "1")) }, func(v *View) { v.SetSecret("tor", nil) }, false, true, ""},
		{"a session", func(v *View) { v.SetAnnouncer("n1", announcerOn("n1")) },
			func(v *View) { v.SetAnnouncer("n1", withSession(v1alpha1.BGPEstablished)) }, false, false, "sessions"},
		{"the same session, with other counts", func(v *View) { v.SetAnnouncer("n1", withSession(v1alpha1.BGPEstablished)) },
			func(v *View) {
				a := withSession(v1alpha1.BGPEstablished)
				a.Status.BGP.Peers[0].Prefixes, a.Status.BGP.Peers[0].Since = 7, new(metav1.Now())
				v.SetAnnouncer("n1", a)
			}, false, false, "[]"},
		{"a session that does not come up", func(v *View) { v.SetAnnouncer("n1", announcerOn("n1")) },
			func(v *View) { v.SetAnnouncer("n1", withSession(v1alpha1.BGPConnecting)) }, false, false, "[]"},
		{"the first kube-proxy that serves", nil,
			func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionTrue)) }, true, true, ""},
		{"another one that serves", func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionTrue)) },
			func(v *View) { v.setKubeProxy("n2", kubeProxyOn("n2", metav1.ConditionTrue)) }, true, false, "[n2]"},
		{"the last one that served", func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionTrue)) },
			func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionFalse)) }, true, true, ""},
		{"one that does not serve, where none does", nil,
			func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionFalse)) }, true, false, "[n1]"},
		{"the same said again", func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionTrue)) },
			func(v *View) { v.setKubeProxy("n1", kubeProxyOn("n1", metav1.ConditionTrue)) }, false, false, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := NewView()
			if tt.before != nil {
				tt.before(v)
			}
			v.changes()
			v.routeChanges()
			tt.after(v)
			if _, all := v.changes(); all != tt.layer2 {
				t.Errorf("layer 2 is planned anew: %t", all)
			}
			routes := v.routeChanges()
			if routes.all != tt.routes {
				t.Errorf("routes are planned anew: %t", routes.all)
			}
			got := fmt.Sprint(slices.Sorted(maps.Keys(routes.nodes)))
			if routes.sessions {
				got = "sessions"
			}
			if !tt.routes && tt.nodes != "" && got != tt.nodes {
				t.Errorf("routes go by %s, want %s", got, tt.nodes)
			}
		})
	}
}

// Who keeps something that depends on who there is compares one number.
func TestMembershipIsAnotherNumberAfterEverySeriesOfChanges(t *testing.T) {
	changes := []change{
		{"a Node", func(v *View) { v.SetNode("n3", nodeObject("n3")) }},
		{"a Node that goes", func(v *View) { v.SetNode("n1", nil) }},
		{"an Announcer", func(v *View) { v.SetAnnouncer("n3", announcerOn("n3", "eth0")) }},
		{"interfaces of an Announcer", func(v *View) { v.SetAnnouncer("n1", announcerOn("n1", "eth1")) }},
		{"links of a node that are down", func(v *View) { v.setLinksDown("n2", []string{"eth0"}) }},
	}
	for _, first := range changes {
		for _, second := range changes {
			if first.name == second.name {
				continue
			}
			v := NewView()
			for _, name := range []string{"n1", "n2"} {
				v.SetNode(name, nodeObject(name))
				v.SetAnnouncer(name, announcerOn(name, "eth0"))
			}
			before := v.Membership()
			first.tell(v)
			second.tell(v)
			if v.Membership() == before {
				t.Errorf("%s and %s make no difference", first.name, second.name)
			}
		}
	}
}

func TestLinksThatAreSaidToBeDownDoNotCountUntilTheAPISaysSo(t *testing.T) {
	v := NewView()
	v.SetAnnouncer("n1", announcerOn("n1", "eth0", "eth1"))
	names := func() string {
		var names []string
		for _, i := range v.announcers["n1"].interfaces {
			names = append(names, i.Name)
		}
		return fmt.Sprint(names)
	}
	for _, tt := range []struct {
		node string
		down []string
		news bool
		want string
	}{
		{"n2", []string{"eth0"}, false, "[eth0 eth1]"},
		{"n1", []string{"eth7"}, false, "[eth0 eth1]"},
		{"n1", []string{"eth0"}, true, "[eth1]"},
		{"n1", []string{"eth0"}, false, "[eth1]"},
		{"n1", []string{"eth1"}, true, "[]"},
	} {
		if news := v.setLinksDown(tt.node, tt.down); news != tt.news || names() != tt.want {
			t.Errorf("%v of %s: news %t, and %s count, want %s", tt.down, tt.node, news, names(), tt.want)
		}
	}
	v.restoreLinks("n2")
	v.restoreLinks("n1")
	if names() != "[eth0 eth1]" {
		t.Errorf("restored, %s count", names())
	}
	v.restoreLinks("n1")
	if names() != "[eth0 eth1]" {
		t.Errorf("restored again, %s count", names())
	}
}

func TestANodeIsNotToldOfItsOwnLinks(t *testing.T) {
	l := web(t)
	l.settle()
	n1 := l.nodes["n1"]
	before := n1.view.Membership()
	n1.planner.ObserveLinksDown("n1", []string{"eth0"}, l.now)
	if n1.view.Membership() != before || len(n1.planner.linksDown) > 0 {
		t.Error("it takes what it hears of itself for true")
	}
}

func TestAPoolThatGoesIsMissingFromWhatNamesIt(t *testing.T) {
	v := NewView()
	v.SetPool("lan", poolObject("lan", "10.0.0.0/24"))
	v.SetL2Advertisement("all", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"lan"}}})
	problem := func() error { v.Settle(); return v.L2Advertisement("all").Problem }
	if err := problem(); err != nil {
		t.Fatal(err)
	}
	v.SetPool("lan", nil)
	if problem() == nil {
		t.Error("the pool has gone, and nothing is wrong with what names it")
	}
	v.SetPool("lan", poolObject("lan", "10.0.0.0/24"))
	if err := problem(); err != nil {
		t.Errorf("it is back: %v", err)
	}
}
