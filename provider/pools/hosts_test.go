package pools

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

func announcer(name string, host v1alpha1.HostStatus, networks ...string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	a.Status.Host = host
	a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: networks}}
	return a
}

func sentencesOf(ranges []loadbalancer.ReservedRange) (text string) {
	for _, r := range ranges {
		text += fmt.Sprintf("%s: %s\n", r.Prefix, r.What)
	}
	return text
}

func TestWhatNodesHaveOfTheNetworkIsInUse(t *testing.T) {
	nodes := []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, {ObjectMeta: metav1.ObjectMeta{Name: "n2"}}}
	got := sentencesOf(hostRanges([]*v1alpha1.Announcer{
		announcer("gone", v1alpha1.HostStatus{Addresses: []v1alpha1.HostAddress{{IP: "192.168.10.1", Interface: "eth0"}}}, "192.168.10.0/25"),
		announcer("n2", v1alpha1.HostStatus{Addresses: []v1alpha1.HostAddress{{IP: "nonsense", Interface: "eth0"}}}, "2001:db8::/64", "nonsense"),
		announcer("n1", v1alpha1.HostStatus{
			Gateways:  []string{"192.168.10.254", "2001:db8::1"},
			Addresses: []v1alpha1.HostAddress{{IP: "192.168.10.50", Interface: "vrrp.1"}},
		}, "192.168.10.0/24"),
	}, nodes))
	const want = `192.168.10.50/32: an address on interface vrrp.1 of node "n1"
192.168.10.254/32: the default gateway of node "n1"
2001:db8::1/128: the default gateway of node "n1"
192.168.10.0/32: the network address of the network 192.168.10.0/24 of node "n1"
192.168.10.255/32: the broadcast address of the network 192.168.10.0/24 of node "n1"
2001:db8::/128: the subnet-router anycast address of the network 2001:db8::/64 of node "n2"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWhichAddressesOfANetworkCanBeNoHosts(t *testing.T) {
	for network, want := range map[string]string{
		"192.168.10.0/24":  "192.168.10.0 192.168.10.255",
		"192.168.10.4/30":  "192.168.10.4 192.168.10.7",
		"10.0.0.0/8":       "10.0.0.0 10.255.255.255",
		"192.168.10.4/31":  "",
		"192.168.10.4/32":  "",
		"0.0.0.0/0":        "",
		"2001:db8::/64":    "2001:db8::",
		"2001:db8::40/122": "2001:db8::40",
		"2001:db8::4/127":  "",
		"2001:db8::4/128":  "",
	} {
		var got []string
		for _, no := range noHosts(netip.MustParsePrefix(network)) {
			got = append(got, no.address.String())
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: got %q, want %q", network, got, want)
		}
	}
}

func TestWhatServicesHaveFromOthersIsInUse(t *testing.T) {
	service := func(name, class string, change func(*corev1.Service)) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		if class != "" {
			s.Spec.LoadBalancerClass = ptr.To(class)
		}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.com"}}
		if change != nil {
			change(s)
		}
		return s
	}
	marked := func(s *corev1.Service) {
		s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
	}
	services := func() []*corev1.Service {
		return []*corev1.Service{
			service("ours", v1alpha1.LoadBalancerClass, nil),
			service("ours-served", "", marked),
			service("classless", "", nil),
			service("foreign", "example.com/other", nil),
			service("was-ours", "example.com/other", marked),
			service("clusterip", "", func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalIPs = corev1.ServiceTypeClusterIP, []string{"192.0.2.9", "2001:db8::9"}
			}),
		}
	}
	const others = `192.0.2.9/32: an external IP of Service shop/clusterip
2001:db8::9/128: an external IP of Service shop/clusterip
192.0.2.1/32: the address of Service shop/foreign of load balancer class "example.com/other"
192.0.2.1/32: the address of Service shop/was-ours of load balancer class "example.com/other"
`
	if got := sentencesOf(serviceRanges(services(), scope.Scope{})); got != others {
		t.Errorf("got\n%swant\n%s", got, others)
	}
	const withClassless = "192.0.2.1/32: the address of Service shop/classless of another load balancer\n" + others
	if got := sentencesOf(serviceRanges(services(), scope.Scope{RequireClass: true})); got != withClassless {
		t.Errorf("got\n%swant\n%s", got, withClassless)
	}
}

func TestAPoolKeepsOutWhatComesIntoUseAndNamesIt(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	api := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.0"}}},
	}
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "foreign", UID: "foreign"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To("example.com/other")},
	}
	withController(t, []runtime.Object{node, api, foreign}, []runtime.Object{poolOf("192.0.2.0/30"), announcer("n1", v1alpha1.HostStatus{})}, func(w *world) {
		expect := func(when, want string) {
			t.Helper()
			settle()
			if got := ready(w.pool().Status.Conditions); got != "Valid: "+want {
				t.Errorf("%s: %s", when, got)
			}
		}
		const apiServer = "192.0.2.0 is an address of the API server and is not handed out"
		expect("at first", apiServer)
		s := foreign.DeepCopy()
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		if _, err := w.kube.CoreV1().Services("default").Update(w.ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		const service = `; 192.0.2.1 is the address of Service default/foreign of load balancer class "example.com/other" and is not handed out`
		expect("with the address of another load balancer", apiServer+service)
		host := v1alpha1.HostStatus{Addresses: []v1alpha1.HostAddress{{IP: "192.0.2.2", Interface: "eth0"}}}
		if _, err := w.clarion.ClarionV1alpha1().Announcers().Update(w.ctx, announcer("n1", host), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		expect("with a virtual IP", apiServer+service+`; 192.0.2.2 is an address on interface eth0 of node "n1" and is not handed out`)
		if err := w.ensure("a", nil); err != nil {
			t.Error(err)
		}
		if err := w.ensure("b", nil); err == nil {
			t.Error("an address that is in use is handed out")
		}
		if err := w.kube.CoreV1().Services("default").Delete(w.ctx, "foreign", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if err := w.ensure("b", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestAPoolThatOnlyARouteLeadsToSaysSo(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	for _, test := range []struct {
		name, entry string
		networks    []string
		routed      *v1alpha1.BGPAdvertisement
		want        bool
	}{
		{"on the network", "192.0.2.0/30", []string{"192.0.2.0/24"}, nil, false},
		{"larger than the network", "192.0.2.0/23", []string{"192.0.2.0/24"}, nil, false},
		{"elsewhere", "10.77.0.10-10.77.0.20", []string{"192.0.2.0/24"}, nil, true},
		{"of a family that no network has", "2001:db8::/126", []string{"192.0.2.0/24"}, nil, true},
		{"elsewhere, before anybody knows the networks", "10.77.0.10-10.77.0.20", nil, nil, false},
		{"elsewhere, announced by BGP", "10.77.0.10-10.77.0.20", []string{"192.0.2.0/24"}, &v1alpha1.BGPAdvertisement{}, false},
		{"elsewhere, with BGP for another pool", "10.77.0.10-10.77.0.20", []string{"192.0.2.0/24"},
			&v1alpha1.BGPAdvertisement{Spec: v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"other"}}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours := []runtime.Object{poolOf(test.entry), announcer("n1", v1alpha1.HostStatus{}, test.networks...)}
			if test.routed != nil {
				test.routed.Name = "routed"
				ours = append(ours, test.routed)
			}
			withController(t, []runtime.Object{node}, ours, func(w *world) {
				got := ready(w.pool().Status.Conditions)
				if says := strings.Contains(got, "is on no network of the nodes"); says != test.want || !strings.HasPrefix(got, "Valid:") {
					t.Errorf("it says %s", got)
				}
			})
		})
	}
}
