package migrate

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

func TestAServiceThatIsMadeAnewIsAsItWasButForItsClass(t *testing.T) {
	before := &corev1.Service{Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To("metallb.io/lan"), LoadBalancerIP: "192.0.2.1",
		ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"}, Selector: map[string]string{"app": "web"},
		LoadBalancerSourceRanges: []string{"10.0.0.0/8"}, AllocateLoadBalancerNodePorts: ptr.To(true),
		ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, HealthCheckNodePort: 31000,
		Ports: []corev1.ServicePort{{Port: 53, NodePort: 30053}, {Port: 53, Protocol: corev1.ProtocolUDP, NodePort: 30054}},
	}}
	s := before.DeepCopy()
	withdraw(s)
	if s.Spec.Type != corev1.ServiceTypeClusterIP || s.Spec.ClusterIP != "10.96.0.1" || s.Spec.LoadBalancerClass != nil || s.Spec.Ports[1].NodePort != 0 {
		t.Errorf("in between it is %+v", s.Spec)
	}
	s.Spec.Ports[0].Protocol = corev1.ProtocolTCP // as the API server has it
	restore(s, before, ptr.To("clarionlb.io/clarion"))
	want := before.DeepCopy()
	want.Spec.LoadBalancerClass, want.Spec.Ports[0].Protocol = ptr.To("clarionlb.io/clarion"), corev1.ProtocolTCP
	if !reflect.DeepEqual(s, want) {
		t.Errorf("it is %+v, want %+v", s.Spec, want.Spec)
	}
}

func TestAServiceWithExternalIPsGetsNoNodePortsThatItDidNotHave(t *testing.T) {
	for kind, want := range map[corev1.ServiceType]*bool{corev1.ServiceTypeClusterIP: ptr.To(false), corev1.ServiceTypeNodePort: nil} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, ExternalIPs: []string{"192.0.2.1"}}}
		convert(s, "clarionlb.io/clarion")
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Spec.ExternalIPs) != 1 || !reflect.DeepEqual(s.Spec.AllocateLoadBalancerNodePorts, want) {
			t.Errorf("%s becomes %+v", kind, s.Spec)
		}
	}
}

func TestAServiceThatIsAnsweredWhileItIsTakenUpKeepsTheAnswer(t *testing.T) {
	before := web("web", "192.0.2.1")
	kube := fakeapi.Kube(before.DeepCopy())
	answer := metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned", Message: "all is well"}
	fakeapi.Interrupt(&kube.Fake, "patch", corev1.SchemeGroupVersion.WithResource("services"), before.Namespace, before.Name, func(o runtime.Object) {
		s := o.(*corev1.Service)
		s.Status.Conditions = append(s.Status.Conditions, answer)
	})
	if err := (&applier{kube: kube}).takeUp(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	service, err := kube.CoreV1().Services(before.Namespace).Get(t.Context(), before.Name, metav1.GetOptions{})
	if err != nil || len(service.Status.Conditions) != 1 || service.Status.Conditions[0] != answer {
		t.Errorf("it says %v, %v", service.Status.Conditions, err)
	}
}
