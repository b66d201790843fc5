package announced

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"
)

func TestOfAnEndpointSliceIsHeldWhoServesOnWhichNodes(t *testing.T) {
	endpoint := func(address string, ready, serving, terminating bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses:  []string{address},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
			NodeName:   new("n1"), TargetRef: &corev1.ObjectReference{Name: "pod"}, Zone: new("a"),
		}
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-1", UID: "1", ResourceVersion: "7", GenerateName: "web-",
			Labels:      map[string]string{discoveryv1.LabelServiceName: "web", "app": "web"},
			Annotations: map[string]string{"a": "b"}, OwnerReferences: []metav1.OwnerReference{{Name: "web"}},
		},
		AddressType: discoveryv1.AddressTypeIPv6,
		Endpoints: []discoveryv1.Endpoint{
			endpoint("2001:db8::1", true, true, false), endpoint("2001:db8::2", false, false, false), endpoint("2001:db8::3", false, true, true),
			{Addresses: []string{"2001:db8::4"}},
		},
		Ports: []discoveryv1.EndpointPort{{Name: new("http")}},
	}
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-1", UID: "1", ResourceVersion: "7", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
		},
		AddressType: discoveryv1.AddressTypeIPv6,
		Endpoints: []discoveryv1.Endpoint{
			{Conditions: slice.Endpoints[0].Conditions, NodeName: new("n1")}, {Conditions: slice.Endpoints[2].Conditions, NodeName: new("n1")}, {},
		},
	}
	got, err := stripSlice(slice)
	if err != nil || !apiequality.Semantic.DeepEqual(got, want) {
		t.Fatalf("%v\n%s", err, diff.Diff(want, got))
	}
	held := got.(*discoveryv1.EndpointSlice).Endpoints
	if held[0].Conditions.Ready != held[1].Conditions.Serving || held[0].Conditions.Terminating != held[1].Conditions.Ready {
		t.Error("equal conditions are held more than once")
	}
	if again, err := stripSlice("no slice"); again != "no slice" || err != nil {
		t.Errorf("anything else becomes %v, %v", again, err)
	}
}
