package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

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

func TestAServiceStaysOursIfSomebodyRemovesItsConditions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*corev1.Service)
		want   bool
	}{
		{"the conditions are removed", func(*corev1.Service) {}, true},
		{"and the finalizers of others", func(s *corev1.Service) { s.Finalizers = []string{scope.Finalizer} }, true},
		{"the finalizer too: it is given to another load balancer", func(s *corev1.Service) { s.Finalizers = nil }, false},
		{"the finalizer too, and one of others stays", func(s *corev1.Service) { s.Finalizers = []string{"example.com/other"} }, false},
		{"it is another one of the same name", func(s *corev1.Service) { s.UID = "another" }, false},
		{"it has a foreign class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("example.org/lb") }, false},
		{"it is no load balancer any more", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }, false},
	} {
		v, name := NewView(), types.NamespacedName{Namespace: "default", Name: "web"}
		v.SetService(name, serviceObject("web", vip))
		changed := serviceObject("web", vip)
		changed.Status.Conditions = nil
		tt.change(changed)
		v.SetService(name, changed)
		if _, got := v.byAddress[netip.MustParseAddr(vip)]; got != tt.want {
			t.Errorf("%s: has an address to announce: %t", tt.name, got)
		}
	}
}

func TestWhichServicesAreOurs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*corev1.Service)
		want   bool
	}{
		{"without a class", func(*corev1.Service) {}, true},
		{"of our class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To(v1alpha1.LoadBalancerClass) }, true},
		{"of a foreign class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("example.org/lb") }, false},
		{"of nobody yet, or of another implementation", func(s *corev1.Service) { s.Status.Conditions = nil }, false},
		{"of our class, once it was of another one", func(s *corev1.Service) {
			s.Spec.LoadBalancerClass, s.Status.Conditions = ptr.To(v1alpha1.LoadBalancerClass), nil
		}, false},
		{"refused more than it has", func(s *corev1.Service) { s.Status.Conditions[0].Status = metav1.ConditionFalse }, true},
		{"of another type", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }, false},
		{"being deleted", func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, false},
		{"without an address", func(s *corev1.Service) { s.Status = corev1.ServiceStatus{} }, false},
		{"with a host name", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.org"}}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serviceObject("web", vip)
			tt.change(s)
			v := NewView()
			v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, s)
			if _, got := v.byAddress[netip.MustParseAddr(vip)]; got != tt.want {
				t.Errorf("has an address to announce: %t", got)
			}
		})
	}
}

func TestWhichEndpointsCanServe(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	for _, tt := range []struct {
		name       string
		conditions discoveryv1.EndpointConditions
		want       bool
	}{
		{"unknown", discoveryv1.EndpointConditions{}, true},
		{"ready", discoveryv1.EndpointConditions{Ready: yes, Serving: yes, Terminating: no}, true},
		{"not ready", discoveryv1.EndpointConditions{Ready: no, Serving: no, Terminating: no}, false},
		{"terminating, still serving", discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes}, true},
		{"terminating, no longer serving", discoveryv1.EndpointConditions{Ready: no, Serving: no, Terminating: yes}, false},
	} {
		if got := CanServe(tt.conditions); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestALabelIsSetUnlessItMeansFalse(t *testing.T) {
	for value, want := range map[string]bool{"": true, "true": true, "yes": true, "garbage": true, "false": false, "0": false} {
		if got := isSet(map[string]string{"key": value}, "key"); got != want {
			t.Errorf("%q is set: %t", value, got)
		}
	}
	if isSet(nil, "key") {
		t.Error("a label that is not there is set")
	}
}

func TestTheAddressOfANodeIsIPv4IfItHasOne(t *testing.T) {
	for _, tt := range []struct {
		addresses []corev1.NodeAddress
		want      string
	}{
		{[]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.10.11"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"}}, "192.168.10.11"},
		{[]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "fd00::1"}, {Type: corev1.NodeInternalIP, Address: "192.168.10.11"}}, "192.168.10.11"},
		{[]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "fd00::1"}}, "fd00::1"},
		{[]corev1.NodeAddress{{Type: corev1.NodeExternalIP, Address: "203.0.113.1"}, {Type: corev1.NodeHostName, Address: "n1"}}, "invalid IP"},
	} {
		v := NewView()
		v.SetNode("n1", nodeObject("n1", func(n *corev1.Node) { n.Status.Addresses = tt.addresses }))
		if got := v.NodeAddress("n1").String(); got != tt.want {
			t.Errorf("%v: %s", tt.addresses, got)
		}
	}
}

func TestPeersAreAnnouncersWhoseNodeExists(t *testing.T) {
	v := NewView()
	v.SetNode("n1", nodeObject("n1"))
	v.SetNode("n2", nodeObject("n2"))
	v.SetAnnouncer("n1", &v1alpha1.Announcer{})
	v.SetAnnouncer("n3", &v1alpha1.Announcer{})
	if got := v.Peers(); len(got) != 1 || !reflect.DeepEqual(got, map[string]netip.Addr{"n1": {}}) {
		t.Errorf("%v", got)
	}
}

func TestAChangeConcernsItsAddressesOnly(t *testing.T) {
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "default", Name: name} }
	v := NewView()
	v.SetService(key("web"), serviceObject("web", vip))
	v.SetService(key("api"), serviceObject("api", "192.168.10.201"))
	v.SetAnnouncer("n1", &v1alpha1.Announcer{})
	v.changes()
	for _, tt := range []struct {
		name   string
		change func()
		want   []string
		all    bool
	}{
		{"endpoints", func() { v.SetEndpointSlice(key("web-x"), endpointsOn("web", "n1")) }, []string{vip}, false},
		{"the same endpoints", func() { v.SetEndpointSlice(key("web-x"), endpointsOn("web", "n1")) }, nil, false},
		{"more endpoints on the same node", func() { v.SetEndpointSlice(key("web-x"), endpointsOn("web", "n1", "n1")) }, nil, false},
		{"a slice that goes to another Service", func() {
			s := endpointsOn("api", "n1")
			s.Name = "web-x"
			v.SetEndpointSlice(key("web-x"), s)
		}, []string{"192.168.10.201", vip}, false},
		{"a slice of a Service that is none of ours", func() { v.SetEndpointSlice(key("db-x"), endpointsOn("db", "n1")) }, nil, false},
		{"no endpoints", func() { v.SetEndpointSlice(key("web-x"), nil) }, []string{"192.168.10.201"}, false},
		{"another address", func() { v.SetService(key("web"), serviceObject("web", "192.168.10.202")) }, []string{"192.168.10.202", vip}, false},
		{"a claim", func() {
			a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
			a.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{IP: "192.168.10.202", Epoch: 1}}
			v.SetAnnouncer("n1", a)
		}, []string{"192.168.10.202"}, false},
		{"no claim", func() { v.SetAnnouncer("n1", &v1alpha1.Announcer{}) }, []string{"192.168.10.202"}, false},
		{"interfaces", func() {
			a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
			a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0"}}
			v.SetAnnouncer("n1", a)
		}, nil, true},
		{"a node", func() { v.SetNode("n1", nodeObject("n1")) }, nil, true},
		{"the same node", func() { v.SetNode("n1", nodeObject("n1")) }, nil, false},
		{"a Service goes", func() { v.SetService(key("web"), nil) }, []string{"192.168.10.202"}, false},
	} {
		tt.change()
		dirty, all := v.changes()
		want := addressSet{}
		for _, ip := range tt.want {
			want[netip.MustParseAddr(ip)] = struct{}{}
		}
		if !reflect.DeepEqual(dirty, want) || all != tt.all {
			t.Errorf("%s: concerns %v (all: %t), want %v", tt.name, dirty, all, tt.want)
		}
	}
	v.SetService(key("api"), nil)
	v.SetEndpointSlice(key("db-x"), nil)
	v.SetAnnouncer("n1", nil)
	if len(v.backends)+len(v.sliceOwner)+len(v.byAddress)+len(v.claims)+len(v.announcers) > 0 {
		t.Errorf("remembers what is gone: %+v", v)
	}
}

func TestWhatAViewSaysOfServicesAndNodes(t *testing.T) {
	v := NewView()
	older, younger := serviceObject("z", vip), serviceObject("a", vip, "192.168.10.223")
	younger.CreationTimestamp, younger.UID = metav1.Unix(1_700_000_000, 0), "1"
	for _, s := range []*corev1.Service{younger, older} {
		v.SetService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s)
	}
	ref := func(name string, uid types.UID) ServiceRef {
		return ServiceRef{types.NamespacedName{Namespace: "default", Name: name}, uid}
	}
	if got, want := v.ServicesOf(addr(vip)), []ServiceRef{ref("z", ""), ref("a", "1")}; !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", vip, got, want)
	}
	for _, name := range []string{"n1", "n2"} {
		v.SetNode(name, nodeObject(name))
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
		a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", MAC: "52:54:00:00:00:0" + name[1:]}, {Name: "wg0"}}
		v.SetAnnouncer(name, a)
	}
	want := map[string]string{"52:54:00:00:00:01": "n1", "52:54:00:00:00:02": "n2"}
	if got := v.MACs(); !reflect.DeepEqual(got, want) {
		t.Errorf("hardware addresses %v, want %v", got, want)
	}
	if got := v.NodeAddress("n9"); got.IsValid() {
		t.Errorf("a node that is not there has the address %s", got)
	}
}

// An announcer that has not run for a while records no interface until it knows what the others have. It is no stranger meanwhile.
func TestAnAnnouncerIsKnownByItsHardwareAddressWhileItRecordsNone(t *testing.T) {
	const own, other = "52:54:00:00:00:01", "52:54:00:00:00:02"
	v := NewView()
	record := func(name string, macs ...string) {
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, mac := range macs {
			a.Status.Layer2.Interfaces = append(a.Status.Layer2.Interfaces, v1alpha1.Layer2Interface{Name: "eth0", MAC: mac})
		}
		v.SetAnnouncer(name, a)
	}
	for _, step := range []struct {
		what string
		do   func()
		want map[string]string
	}{
		{"it has an interface", func() { record("n1", own) }, map[string]string{own: "n1"}},
		{"it records none", func() { record("n1") }, map[string]string{own: "n1"}},
		{"it still records none", func() { record("n1") }, map[string]string{own: "n1"}},
		{"another announcer has the hardware address", func() { record("n2", own) }, map[string]string{own: "n2"}},
		{"that one has another interface", func() { record("n2", other) }, map[string]string{own: "n1", other: "n2"}},
		{"it has another interface", func() { record("n1", "52:54:00:00:00:03") }, map[string]string{"52:54:00:00:00:03": "n1", other: "n2"}},
		{"it records none again", func() { record("n1") }, map[string]string{"52:54:00:00:00:03": "n1", other: "n2"}},
		{"it is gone", func() { v.SetAnnouncer("n1", nil) }, map[string]string{other: "n2"}},
	} {
		step.do()
		if got := v.MACs(); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: hardware addresses %v, want %v", step.what, got, step.want)
		}
	}
}

func TestTheLiveMembersAreCompleteWithAllThatAreReadyAndMayAnnounce(t *testing.T) {
	v := NewView()
	v.SetNode("n1", nodeObject("n1"))
	v.SetNode("n2", nodeObject("n2"))
	v.SetNode("n3", nodeObject("n3", notReady))
	v.SetNode("n4", nodeObject("n4", excluded))
	if v.Complete([]string{"n1"}) {
		t.Error("complete without n2")
	}
	if !v.Complete([]string{"n1", "n2"}) {
		t.Error("not complete without a node that is not ready and one that is excluded")
	}
	v.changes()
	v.SetNode("n2", nil)
	if _, all := v.changes(); !all || !v.Complete([]string{"n1"}) {
		t.Error("a node that is gone is still missing")
	}
	v.SetNode("n2", nil)
	if _, all := v.changes(); all {
		t.Error("a node that was never there is planned for")
	}
}

func TestTheLabelThatExcludesNodesCanBeIgnored(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		v := NewView()
		v.IgnoreExclusion(ignore)
		n := nodeObject("n1")
		n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
		v.SetNode("n1", n)
		if excluded := v.nodes["n1"].excluded || v.draining("n1"); excluded == ignore {
			t.Errorf("ignored: %v, excluded: %v", ignore, excluded)
		}
	}
}

func TestMembershipChangesWithNodesAndInterfacesAlone(t *testing.T) {
	v := NewView()
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	announcer := func(mac, claim string) *v1alpha1.Announcer {
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
		a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", MAC: mac}}
		if claim != "" {
			a.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{IP: claim, Epoch: 1}}
		}
		return a
	}
	for _, tt := range []struct {
		name    string
		change  func()
		changes bool
	}{
		{"a Node comes", func() { v.SetNode("n1", nodeObject("n1")) }, true},
		{"the same Node again", func() { v.SetNode("n1", nodeObject("n1")) }, false},
		{"its Announcer comes", func() { v.SetAnnouncer("n1", announcer("02:00:00:00:00:01", "")) }, true},
		{"it claims an address", func() { v.SetAnnouncer("n1", announcer("02:00:00:00:00:01", vip)) }, false},
		{"it has another hardware address", func() { v.SetAnnouncer("n1", announcer("02:00:00:00:00:02", vip)) }, true},
		{"a Service comes", func() { v.SetService(key, serviceObject("web", vip)) }, false},
		{"its endpoints come", func() { v.SetEndpointSlice(key, endpointsOn("web", "n1")) }, false},
		{"the Announcer goes", func() { v.SetAnnouncer("n1", nil) }, true},
		{"the Node goes", func() { v.SetNode("n1", nil) }, true},
	} {
		before := v.Membership()
		tt.change()
		if changed := v.Membership() != before; changed != tt.changes {
			t.Errorf("%s: changed is %v", tt.name, changed)
		}
	}
}
