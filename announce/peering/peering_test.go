package peering

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bfd"
	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

var torAddress = netip.MustParseAddr("10.0.0.254")

// node is n1, unless it is changed.
func node(change func(*corev1.Node)) func(*plan.View) {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	if change != nil {
		change(n)
	}
	return func(v *plan.View) { v.SetNode("n1", n) }
}

// nodeNamed is another node that is ready.
func nodeNamed(name string) func(*plan.View) {
	return func(v *plan.View) { v.SetNode(name, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}) }
}

// peer is an external BGPPeer, unless it is changed.
func peer(name string, change func(*v1alpha1.BGPPeerSpec)) func(*plan.View) {
	asn := int64(65000)
	p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec = v1alpha1.BGPPeerSpec{MyASN: 65001, PeerASN: &asn, PeerAddress: torAddress.String()}
	if change != nil {
		change(&p.Spec)
	}
	return func(v *plan.View) { v.SetBGPPeer(name, p) }
}

// service is a Service that has an address.
func serviceAt(name, address string) func(*plan.View) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}},
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address}}},
		},
	}
	return func(v *plan.View) { v.SetService(types.NamespacedName{Namespace: "default", Name: name}, s) }
}

// watched is a BGPPeer with BFD.
func watched(v *plan.View) {
	v.SetBFDProfile("fast", &v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}})
	peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = "fast" })(v)
}

func established(key bgp.SessionKey) bgp.PeerStatus {
	return bgp.PeerStatus{Key: key, Address: torAddress, State: bgp.Established}
}

func TestNoSessionIsThereBeforeTheStateIs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil))
		w.did("before anything")
		close(w.synced)
		w.did("with the API's objects")
		close(w.announcersKnown)
		w.did("with the Announcers")
		close(w.links)
		w.did("with the interfaces")
		close(w.host.ready)
		w.did("with the addresses", "begin, restarted false", "BGP: tor with 0 routes", "write ")
	})
}

// The fake of BGP complains otherwise.
func TestWhatNobodyServesIsRefusedBeforeARouteIsAnnounced(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil))
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 0 routes", "write ")
		w.change(service)
		w.did("with a Service", "BGP: tor with 1 routes")
		if got := slices.Collect(maps.Keys(w.bgp.told().rejected)); !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}) {
			t.Errorf("refused: %v", got)
		}
		w.change(func(v *plan.View) { v.SetService(serviceName, nil) })
		w.did("without it", "BGP: tor with 0 routes")
		if len(w.bgp.told().rejected) > 0 {
			t.Errorf("refused: %v", w.bgp.told().rejected)
		}
	})
}

var serviceName = types.NamespacedName{Namespace: "default", Name: "web"}

func TestARouteIsAnnouncedWhenTheNodeServesIt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil))
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 0 routes", "write ")
		w.change(serviceOf(func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 32000
		}))
		w.did("with a Service", "ask whether default/web is served", "BGP: tor with 0 routes")
		w.checks.serves(serviceName)
		w.did("when it is served", "BGP: tor with 1 routes")
	})
}

// service is a Service that is announced to all.
func service(v *plan.View) { serviceOf(func(*corev1.Service) {})(v) }

func serviceOf(change func(*corev1.Service)) func(v *plan.View) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: serviceName.Namespace, Name: serviceName.Name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status: corev1.ServiceStatus{
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}},
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}},
		},
	}
	change(s)
	return func(v *plan.View) { announceAll(v, s) }
}

func announceAll(v *plan.View, s *corev1.Service) {
	v.SetPool("pool", &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"198.51.100.0/24"}},
	})
	v.SetBGPAdvertisement("all", &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}})
	v.SetService(serviceName, s)
	v.SetEndpointSlice(serviceName, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: serviceName.Namespace, Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{NodeName: new("n1")}},
	})
}

func TestAnEndWhileItWaitsIsNoError(t *testing.T) {
	for _, ready := range []func(w *world) []chan struct{}{
		func(*world) []chan struct{} { return nil },
		func(w *world) []chan struct{} { return []chan struct{}{w.synced} },
		func(w *world) []chan struct{} { return []chan struct{}{w.synced, w.announcersKnown} },
		func(w *world) []chan struct{} { return []chan struct{}{w.synced, w.announcersKnown, w.links} },
	} {
		inWorld(t, func(w *world) {
			for _, c := range ready(w) {
				close(c)
			}
			if err := w.end(); err != nil {
				t.Error(err)
			}
			w.did("at the end")
		})
	}
}

func TestBFDEndsAfterBGP(t *testing.T) {
	inWorld(t, func(w *world) {
		w.began()
		w.take()
		w.bgp.err, w.bfd.err = errors.New("of BGP"), errors.New("of BFD")
		err := w.end()
		if !errors.Is(err, w.bgp.err) || !errors.Is(err, w.bfd.err) {
			t.Errorf("it returns %v", err)
		}
		w.did("at the end", "BGP ends: it is not wanted any more", "BFD ends")
	})
}

func TestAnAnnouncerOfTheSameBootHasRestarted(t *testing.T) {
	for _, test := range []struct {
		name     string
		recorded string
		want     string
	}{
		{"none before", "", "begin, restarted false"},
		{"one before a boot", "boot before", "begin, restarted false"},
		{"one since the boot", "this boot", "begin, restarted true"},
	} {
		inWorld(t, func(w *world) {
			if test.recorded != "" {
				w.announcer = &v1alpha1.Announcer{Status: v1alpha1.AnnouncerStatus{BGP: v1alpha1.BGPStatus{BootID: test.recorded}}}
			}
			w.began()
			w.did(test.name, test.want, "BGP: ", "write ")
		})
	}
	if id := kernelBootID(); len(id) != 36 {
		t.Errorf("the kernel's boot is %q", id)
	}
}

func TestSessionsAndTheirPathsComeAndGo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), watched)
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 0 routes", "write ")
		w.session(established(tor))
		w.did("with a session", "BFD: 10.0.0.254", "event: tor (10.0.0.254) established", "write tor Established")
		path := bfd.Status{Name: "10.0.0.254", State: bfd.Up, RemoteState: bfd.Up, Detection: 300 * time.Millisecond}
		w.path(path)
		w.did("when BFD is up", "event: BFD up with tor (10.0.0.254)", "write tor Established")
		path.State, path.Diagnostic, path.Failures, path.LastDetection = bfd.Down, bfd.DetectionTimeExpired, 1, 300*time.Millisecond
		w.path(path)
		const silent = "BFD heard nothing from the router for 300ms"
		w.did("when the path dies", "reset tor: "+silent, "event: BFD down with tor (10.0.0.254): "+silent, "write tor Established")
		lost := established(tor)
		lost.State, lost.Problem = bgp.Idle, bgp.Problem{Kind: bgp.BFDSilent, Silence: 300 * time.Millisecond}
		w.session(lost)
		w.did("when the session is lost", "BFD: ", "event: tor (10.0.0.254) lost: "+silent, "write tor Connecting "+silent)
		w.session(established(tor))
		w.take()
		w.change(func(v *plan.View) { v.SetBGPPeer("tor", nil) })
		w.session()
		w.did("when it is not wanted any more", "BGP: ", "BFD: ", "write tor Established",
			"event: tor (10.0.0.254) closed: it is not wanted any more", "write ")
	})
}

func TestASessionThatIsToWaitIsSuspendedBeforeItIsSet(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), func(v *plan.View) {
			watched(v)
			v.SetBFDProfile("fast", &v1alpha1.BFDProfile{Spec: v1alpha1.BFDProfileSpec{Strict: true}})
		})
		w.began()
		w.did("at first", "begin, restarted false", "suspend tor: BFD is not up yet", "BGP: tor with 0 routes", "BFD: 10.0.0.254", "write ")
		time.Sleep(silencePatience)
		w.did("when nothing comes", "suspend tor: BFD is not up: the router sends no BFD packets")
	})
}

func TestABGPPeerThatCannotBeIsRecordedAndTheOthersAreNotConcerned(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil), peer("locked", func(s *v1alpha1.BGPPeerSpec) {
			s.PeerAddress = "10.0.0.253"
			s.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "none"}
		}))
		w.began()
		const refusal = "there is no Secret clarion-bgp/none of type kubernetes.io/basic-auth"
		w.did("at first", "begin, restarted false", "BGP: tor with 0 routes", "write locked Refused "+refusal)
		w.change(func(v *plan.View) { v.SetBGPPeer("locked", nil) })
		w.did("when it is gone", "BGP: tor with 0 routes", "write ")
	})
}

func TestADrainedNodeClosesItsSessionsInTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil))
		w.began()
		w.session(established(tor))
		w.take()
		w.change(node(func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "drain", Effect: corev1.TaintEffectNoSchedule}}
		}))
		w.did("at first", "BGP: tor with 0 routes")
		if w.bgp.told().reason != "the node is drained" {
			t.Errorf("sessions end because %q", w.bgp.told().reason)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.take(); !slices.Contains(got, "BGP: ") {
			t.Errorf("the session stays: %q", got)
		}
		w.session()
		w.did("when it is gone", "event: tor (10.0.0.254) closed: the node is drained", "write ")
	})
}

func TestTheRoutersOfDefaultRoutesAreFoundAmongTheInterfaces(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("default", func(s *v1alpha1.BGPPeerSpec) {
			s.PeerAddress, s.DefaultGateway = "", corev1.IPv4Protocol
		}))
		w.began()
		w.did("without a default route", "begin, restarted false", "BGP: ", "write default Refused the node has no default route by way of an IPv4 router")
		w.mu.Lock()
		w.interfaces = []layer2.Interface{{Name: "eth0", Up: true, Gateways: []netip.Addr{torAddress}}}
		w.mu.Unlock()
		w.moved.Notify()
		w.did("with one", "BGP: default@10.0.0.254 with 0 routes", "write ")
	})
}

func TestBGPKnowsTheAddressesOfTheNodeAndWhichAreThoseOfServices(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil), serviceAt("web", "10.0.0.50"), serviceAt("thief", "10.0.0.1"))
		w.interfaces = []layer2.Interface{{Name: "eth0", Up: true, Gateways: []netip.Addr{torAddress}}}
		w.began()
		addresses := w.addresses("10.0.0.1/24", "10.0.0.50/24", "10.0.0.51/24")
		want := bgp.Host{Addresses: addresses, Internal: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Gateways: []netip.Addr{torAddress}}
		is := func(when string) {
			t.Helper()
			if !w.bgp.told().host.Equal(want) {
				t.Errorf("%s: %+v, want %+v", when, w.bgp.told().host, want)
			}
		}
		want.Addresses = slices.Clone(addresses)
		want.Addresses[1].Service = true
		is("at first")
		w.change(serviceAt("other", "10.0.0.51"))
		want.Addresses[2].Service = true
		is("with another Service")
		w.change(node(func(n *corev1.Node) { n.Status.Addresses[0].Address = "10.0.0.51" }))
		want.Internal[0] = netip.MustParseAddr("10.0.0.51")
		want.Addresses[0].Service, want.Addresses[2].Service = true, false
		is("when the cluster knows the node by another address")
		want.Addresses = w.addresses("10.0.0.51/24")
		is("with one address")
	})
}

func TestGatewaysAreThoseOfInterfacesThatAreUp(t *testing.T) {
	link := netip.MustParseAddr("fe80::1")
	got := gateways([]layer2.Interface{
		{Name: "eth1", Up: true, Gateways: []netip.Addr{link, torAddress}},
		{Name: "eth0", Up: true, Gateways: []netip.Addr{link, torAddress}},
		{Name: "eth2", Gateways: []netip.Addr{netip.MustParseAddr("10.9.9.9")}},
	})
	want := []netip.Addr{torAddress, link.WithZone("eth0"), link.WithZone("eth1")}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
