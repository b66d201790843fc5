package scope

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestWhichLoadBalancerClassesAreProbablyMeantToBeOurs(t *testing.T) {
	for _, test := range []struct {
		class, ours string
		want        bool
	}{
		{"clarionlb.io/clarion", "clarionlb.io/clarion", false},
		{"", "clarionlb.io/clarion", false},
		{"clarion", "clarionlb.io/clarion", true},
		{"clarionlb.io/clarionlb", "clarionlb.io/clarion", true},
		{"clarionlb/clarion", "clarionlb.io/clarion", true},
		{"Clarionlb.io/Clarion", "clarionlb.io/clarion", true},
		{"metallb", "clarionlb.io/clarion", false},
		{"kube-vip.io/kube-vip-class", "clarionlb.io/clarion", false},
		{"io.cilium/node", "clarionlb.io/clarion", false},
		{"clarionlb.io/clarion", "example.com/lan", false},
		{"lan", "example.com/lan", true},
		{"example.com/wan-of-another-site", "example.com/lan", false},
		{"kube", "lan", false},
		{"man", "lan", false},
		{"lane", "lans", true},
	} {
		if got := nearMiss(test.class, test.ours); got != test.want {
			t.Errorf("%q for %q: got %t", test.class, test.ours, got)
		}
	}
}

func TestOnlyOfALoadBalancerIsSaidThatItsClassIsProbablyMeantToBeOurs(t *testing.T) {
	service := func(kind corev1.ServiceType, class *string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, LoadBalancerClass: class}}
	}
	for _, test := range []struct {
		name    string
		service *corev1.Service
		want    string
	}{
		{"a near miss", service(corev1.ServiceTypeLoadBalancer, new("clarion")), `"clarion" is not served by Clarion`},
		{"our class", service(corev1.ServiceTypeLoadBalancer, new("clarionlb.io/clarion")), ""},
		{"no class", service(corev1.ServiceTypeLoadBalancer, nil), ""},
		{"a near miss that is no load balancer any more", service(corev1.ServiceTypeClusterIP, new("clarion")), ""},
	} {
		if got := (Scope{}).NearMiss(test.service); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: said %q", test.name, got)
		}
	}
}
