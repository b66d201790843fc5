package scope

import "testing"

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
	} {
		if got := nearMiss(test.class, test.ours); got != test.want {
			t.Errorf("%q for %q: got %t", test.class, test.ours, got)
		}
	}
}
