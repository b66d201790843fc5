package dashboard

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/scope"
)

// large is a cluster of 50 nodes in which all is well, with this many Services.
func large(services int) (objects []runtime.Object) {
	const nodes = 50
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: now, Generation: 1}
	}
	holder := "node-1_1"
	lease := &coordinationv1.Lease{ObjectMeta: named(snapshot.ControllerName), Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: new(metav1.NowMicro())}}
	lease.Namespace = snapshot.ControllerNamespace
	objects = append(objects, lease, &corev1.Namespace{ObjectMeta: named("default")},
		&v1alpha1.IPAddressPool{ObjectMeta: named("large"), Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/16"}}},
		&v1alpha1.L2Advertisement{ObjectMeta: named("all")})
	var announcers []*v1alpha1.Announcer
	for i := range nodes {
		node := &corev1.Node{ObjectMeta: named(fmt.Sprintf("node-%d", i))}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.1.0.%d", i+1)}}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		announcer := &v1alpha1.Announcer{ObjectMeta: named(node.Name)}
		announcer.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRunning, LastTransitionTime: now}}
		announcer.Status.Layer2.Interfaces = []v1alpha1.Layer2Interface{{Name: "eth0", Prefixes: []string{"10.0.0.0/15"}}}
		announcers = append(announcers, announcer)
		objects = append(objects, node, announcer)
	}
	ip, yes := netip.MustParseAddr("10.0.0.0"), true
	for i := range services {
		ip = ip.Next()
		s := &corev1.Service{ObjectMeta: named(fmt.Sprintf("web-%d", i))}
		s.Namespace, s.Finalizers = "default", []string{scope.Finalizer}
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip.String()}}
		s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned", LastTransitionTime: now}}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: named(s.Name + "-x"), AddressType: discoveryv1.AddressTypeIPv4}
		slice.Namespace, slice.Labels = s.Namespace, map[string]string{discoveryv1.LabelServiceName: s.Name}
		node := announcers[i%nodes].Name
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.2.0.1"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes}}}
		claims := &announcers[i%nodes].Status.Layer2.Addresses
		*claims = append(*claims, v1alpha1.Layer2Address{IP: ip.String(), Interfaces: []string{"eth0"}, Epoch: 2, Since: now, PreviousOwners: []string{"node-0"}})
		objects = append(objects, s, slice)
	}
	return objects
}

// BenchmarkOverview has what a change costs: the State, the overview, and its JSON.
func BenchmarkOverview(b *testing.B) {
	for _, services := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			taken, size := snapshot.Of(large(services)...), 0
			taken.Time = time.Now()
			for b.Loop() {
				text, err := json.Marshal(overviewOf("c", taken.State()))
				if err != nil {
					b.Fatal(err)
				}
				size = len(text)
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
