package plan

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

func TestTransformedObjectsPlanTheSame(t *testing.T) {
	service := local(serviceObject("web", vip))
	service.Spec.Selector = map[string]string{"app": "web"}
	service.Spec.HealthCheckNodePort = 32000
	service.Annotations = map[string]string{"a": "b"}
	slice := endpointsOn("web", "n1", "n1", "n2", "n3", "n3", "n3")
	slice.Endpoints[2].Conditions.Ready = ptr.To(false)
	slice.Endpoints[4].Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
	slice.Endpoints[5].Conditions.Ready = ptr.To(false)
	slice.Endpoints[0].Addresses = []string{"10.1.1.1"}
	node := nodeObject("n1", func(n *corev1.Node) {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n1"}, {Type: corev1.NodeInternalIP, Address: "192.168.10.11"}}
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "m"}, {Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
		}
	})
	twice := func(o any) any {
		for range 2 {
			var err error
			if o, err = TransformFor("n3")(o); err != nil {
				t.Fatal(err)
			}
		}
		return o
	}
	s := twice(service).(*corev1.Service)
	if !newService(s, nil, scope.Scope{}).equal(newService(service, nil, scope.Scope{})) || s.Spec.Selector != nil || s.Annotations != nil {
		t.Errorf("%+v", s)
	}
	e := twice(slice).(*discoveryv1.EndpointSlice)
	if !NewEndpoints(e).onSameNodes(NewEndpoints(slice)) || len(e.Endpoints) != 3 || e.Endpoints[0].Addresses != nil {
		t.Errorf("%+v", e)
	}
	if got, want := NewEndpoints(e).counts, []endpointCount{{ready: 1}, {ready: 1, terminating: 1}}; !slices.Equal(got, want) {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	n := twice(node).(*corev1.Node)
	if !newNode(n, nil, false).equal(newNode(node, nil, false)) || n.Status.Images != nil || len(n.Status.Addresses) != 1 {
		t.Errorf("%+v", n)
	}
}

func TestWhetherAnotherNodeHasAReadyEndpointSurvivesTheTransform(t *testing.T) {
	slice := endpointsOn("web", "n1", "n1", "n2")
	slice.Endpoints[0].Conditions = terminating
	slice.Endpoints[2].Conditions = terminating
	o, err := TransformFor("n3")(slice.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	got := NewEndpoints(o.(*discoveryv1.EndpointSlice)).counts
	if want := []endpointCount{{ready: 1}, {terminating: 1}}; !slices.Equal(got, want) {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestAStatusThatIsWrittenHasNothingPlannedAnew(t *testing.T) {
	object := func(change func(*v1alpha1.BGPPeer)) *v1alpha1.BGPPeer {
		p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor", UID: "1", Generation: 3, Labels: map[string]string{"rack": "a"}}}
		change(p)
		return p
	}
	before := object(func(*v1alpha1.BGPPeer) {})
	for name, tt := range map[string]struct {
		change func(*v1alpha1.BGPPeer)
		want   bool
	}{
		"status":                        {func(p *v1alpha1.BGPPeer) { p.ResourceVersion, p.Status.Established = "2", 5 }, false},
		"annotations":                   {func(p *v1alpha1.BGPPeer) { p.Annotations = map[string]string{"note": "x"} }, false},
		"spec":                          {func(p *v1alpha1.BGPPeer) { p.Generation, p.Spec.MyASN = 4, 65002 }, true},
		"labels":                        {func(p *v1alpha1.BGPPeer) { p.Labels = map[string]string{"rack": "b"} }, true},
		"another one":                   {func(p *v1alpha1.BGPPeer) { p.UID = "2" }, true},
		"the spec is recorded as valid": {func(p *v1alpha1.BGPPeer) { p.Status.AppliedSpec = p.Spec.DeepCopy() }, false},
		"an older spec is recorded":     {func(p *v1alpha1.BGPPeer) { p.Status.AppliedSpec = &v1alpha1.BGPPeerSpec{MyASN: 65003} }, true},
		"the spec is judged": {func(p *v1alpha1.BGPPeer) {
			p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, ObservedGeneration: 3}}
		}, true},
	} {
		if got := Concerns(before, object(tt.change)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOfTheStatusOfAPoolOnlyWhatIsInForceMatters(t *testing.T) {
	before := poolObject("lan", "192.168.10.0/24")
	for name, tt := range map[string]struct {
		change func(*v1alpha1.IPAddressPoolStatus)
		want   bool
	}{
		"counts": {func(s *v1alpha1.IPAddressPoolStatus) { s.IPv4 = &v1alpha1.AddressCounts{Total: 256} }, false},
		"conditions": {func(s *v1alpha1.IPAddressPoolStatus) {
			s.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady}}
		}, false},
		"what is in use": {func(s *v1alpha1.IPAddressPoolStatus) { s.AppliedSpec = &before.Spec }, true},
		"what is not":    {func(s *v1alpha1.IPAddressPoolStatus) { s.Contested = []v1alpha1.ContestedAddresses{{Pool: "other"}} }, true},
	} {
		after := before.DeepCopy()
		tt.change(&after.Status)
		if got := Concerns(before, after); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatDrainsANodeAndWhatASecretIsForStay(t *testing.T) {
	node := nodeObject("n1", drained, tainted("maintenance"))
	node.Annotations["other"], node.Spec.Taints[0].Value = "x", "y"
	o, err := TransformFor("n1")(node)
	n := o.(*corev1.Node)
	if err != nil || !newNode(n, []string{"maintenance"}, false).equal(newNode(node, []string{"maintenance"}, false)) ||
		len(n.Annotations) != 1 || n.Spec.Taints[0].Value != "" {
		t.Errorf("%+v %v", n, err)
	}
	secret := &corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"username": []byte("u"), "password": []byte("p")}}
	o, err = TransformFor("n1")(secret)
	s := o.(*corev1.Secret)
	if err != nil || s.Type != secret.Type || len(s.Data) != 1 || string(s.Data[corev1.BasicAuthPasswordKey]) != "p" {
		t.Errorf("%+v %v", s, err)
	}
	gone := serviceObject("web", vip)
	gone.Status.Conditions = nil
	if o, err = TransformFor("n1")(gone); err != nil || o.(*corev1.Service).Status.Conditions != nil {
		t.Errorf("%+v %v", o, err)
	}
}

func TestOfOtherNodesTheAddressesOfTheirKernelsDoNotStay(t *testing.T) {
	for name, want := range map[string]int{"n1": 1, "n2": 0} {
		a := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}}
		a.Status.Host.Addresses = []v1alpha1.HostAddress{{IP: "192.0.2.1", Interface: "eth0"}}
		object, err := TransformFor("n1")(a)
		if err != nil || len(object.(*v1alpha1.Announcer).Status.Host.Addresses) != want {
			t.Errorf("%s: got %v, %v", name, object, err)
		}
	}
}
