package causes

import (
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Cluster is what users, kubelets, announcers and routers contribute.
type Cluster struct {
	// Objects are those of the API. There are no two with the same kind, namespace and name.
	Objects []runtime.Object
	// Sessions are what becomes of the sessions with BGPPeers, by name. One that is not here is
	// established, and carries both families.
	Sessions map[string]Session
	// NoController says that no cloud-controller-manager runs.
	NoController bool
	// RenewsLease says that whoever has the Lease of the cloud-controller-manager renews it.
	RenewsLease bool
	// Forbidden are what nobody may do.
	Forbidden []Access
}

// Access is what is done to the objects of a resource.
type Access struct{ Verb, Resource string }

// Session is what becomes of the sessions of all nodes with a BGPPeer.
type Session struct {
	// Problem is what keeps them from being established; none if they are.
	Problem bgp.Problem
	// Only are the nodes whose sessions are established nevertheless.
	Only []string
	// Families are those that the router carries; 0 is both.
	Families bgp.Families
	// BFD is what BFD says of the path; nil if the BGPPeer has no profile.
	BFD *v1alpha1.BFDSession
}

// The nodes, and the address that the Service web has if all is well.
var nodeNames = []string{"n1", "n2", "n3"}

const address = "192.0.2.200"

// healthy is a cluster of three nodes in one network, with one pool and one Service, which is
// announced on layer 2 or by BGP.
func healthy(routed bool) *Cluster {
	c := &Cluster{Sessions: map[string]Session{}}
	c.add(
		&corev1.Namespace{ObjectMeta: named("default")},
		&corev1.Namespace{ObjectMeta: named("other")},
		service("web"),
		endpoints("web", "n1"),
		pool("public", "192.0.2.200-192.0.2.201"),
	)
	for i, name := range nodeNames {
		c.add(node(name, fmt.Sprintf("192.0.2.%d", 11+i)), announcer(name, fmt.Sprintf("192.0.2.%d", 11+i)), announcerPod(name))
	}
	if routed {
		c.add(peer("tor", "192.0.2.1"), &v1alpha1.BGPAdvertisement{ObjectMeta: named("all")})
	} else {
		c.add(&v1alpha1.L2Advertisement{ObjectMeta: named("all")})
	}
	return c
}

func (c *Cluster) add(objects ...runtime.Object) { c.Objects = append(c.Objects, objects...) }

// object of the API.
type object interface {
	runtime.Object
	metav1.Object
}

// change changes the objects of a kind with one of these names, or all without a name.
func change[T object](c *Cluster, by func(T), names ...string) {
	for _, o := range c.Objects {
		if o, is := o.(T); is && (len(names) == 0 || slices.Contains(names, o.GetName())) {
			by(o)
		}
	}
}

// remove removes the objects of a kind with one of these names, or all without a name.
func remove[T object](c *Cluster, names ...string) {
	c.Objects = slices.DeleteFunc(c.Objects, func(o runtime.Object) bool {
		object, is := o.(T)
		return is && (len(names) == 0 || slices.Contains(names, object.GetName()))
	})
}

// of are the objects of a kind.
func of[T object](objects []runtime.Object) (list []T) {
	for _, o := range objects {
		if o, is := o.(T); is {
			list = append(list, o)
		}
	}
	return list
}

// named is the metadata of an object that has just been made.
func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1}
}

// service returns a Service as the API server makes it.
func service(name string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: named(name)}
	s.Namespace = "default"
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name},
		ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
		IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: new(corev1.IPFamilyPolicySingleStack),
		ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
		Ports:                 []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
	}
	return s
}

// with returns a Service that has something of its own.
func with(name string, change func(*corev1.Service)) *corev1.Service {
	s := service(name)
	change(s)
	return s
}

// endpoints are those of a Service, one on each of these nodes.
func endpoints(service string, nodes ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: named(service + "-1"), AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Labels = "default", map[string]string{discoveryv1.LabelServiceName: service}
	for i, node := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.244.%d.2", i)}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		})
	}
	return s
}

func node(name, ip string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: named(name)}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

func pool(name string, addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: named(name), Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
}

func peer(name, address string) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{ObjectMeta: named(name), Spec: v1alpha1.BGPPeerSpec{
		MyASN: 64512, PeerASN: new(int64(64513)), PeerAddress: address, PeerPort: 179,
	}}
}

// announcer is an Announcer that takes part.
func announcer(name, ip string) *v1alpha1.Announcer {
	a := &v1alpha1.Announcer{ObjectMeta: named(name)}
	a.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{
		Name: "eth0", MAC: "02:00:00:00:00:" + ip[len(ip)-2:], Prefixes: []string{"192.0.2.0/24"}, DefaultRoutes: []corev1.IPFamily{corev1.IPv4Protocol},
	}}
	a.Status.Host = v1alpha1.HostStatus{NodeIPs: []string{ip}, Gateways: []string{"192.0.2.1"}, Addresses: []v1alpha1.HostAddress{{IP: ip, Interface: "eth0"}}}
	say(a, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonRunning, "The announcer announces what falls to its node.")
	say(a, v1alpha1.ConditionStrictARP, metav1.ConditionTrue, v1alpha1.ReasonStrict, "The kernel leaves it to the announcers to answer for the addresses of Services.")
	say(a, v1alpha1.ConditionKubeProxy, metav1.ConditionTrue, v1alpha1.ReasonServing, "kube-proxy is healthy.")
	say(a, v1alpha1.ConditionGossip, metav1.ConditionTrue, v1alpha1.ReasonConnected, "Nothing is known to be wrong with the gossip of this node.")
	return a
}

// announcerPod is the Pod of a node's announcer, which runs.
func announcerPod(node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: named("announcer-" + node), Spec: corev1.PodSpec{NodeName: node}}
	pod.Namespace, pod.Labels = v1alpha1.SystemNamespace, map[string]string{"app.kubernetes.io/name": "announcer"}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "announcer", Ready: true}}
	return pod
}

// say has an Announcer have a condition.
func say(a *v1alpha1.Announcer, kind string, status metav1.ConditionStatus, reason, message string) {
	a.Status.Conditions = slices.DeleteFunc(a.Status.Conditions, func(c metav1.Condition) bool { return c.Type == kind })
	a.Status.Conditions = append(a.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// kindOf is the kind of an object in lower case, as kubectl takes it.
func kindOf(o runtime.Object) string { return lower(kindNamed(o)) }

func kindNamed(o runtime.Object) string { return reflect.TypeOf(o).Elem().Name() }
