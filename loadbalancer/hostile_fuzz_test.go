package loadbalancer

import (
	"encoding/json"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Whatever the author of a Service writes, what another has stays, and nobody gets what is another's.
func FuzzAServiceTakesNothingFromAnother(f *testing.F) {
	f.Add("clarionlb.io/addresses", "10.0.0.1", "10.0.0.1", "")
	f.Add("clarionlb.io/allow-shared-ip", "shared", "10.0.0.1", "shared")
	f.Add("clarionlb.io/address-pool", "p", "", "p")
	f.Add("clarionlb.io/address-pool", "../p", "0.0.0.0", "\x00")
	f.Add("metallb.io/allow-shared-ip", "shared", "10.0.0.1,10.0.0.2", "")
	f.Add("metallb.io/loadBalancerIPs", "10.0.0.1", "::", "10.0.0.1")
	f.Fuzz(func(t *testing.T, key, value, address, class string) {
		s := newScript(t, newPool("p", "10.0.0.1-10.0.0.2"))
		s.expect("the first", s.ensure(s.service("web", shares("shared", 80))), "10.0.0.1")
		hostile := serviceWith(map[string]string{key: value, "clarionlb.io/allow-shared-ip": class})
		hostile.Namespace, hostile.Name, hostile.UID = "other", "hostile", "hostile"
		hostile.Spec.LoadBalancerIP = address
		request, err := NewRequest(hostile)
		if err == nil && s.ensure(request) == "10.0.0.1" {
			t.Errorf("%q: %q, %q and %q gave it what is another's", key, value, address, class)
		}
		s.expect("the first", s.ensure(s.service("web", shares("shared", 80))), "10.0.0.1")
	})
}

// Whatever is written into a pool, the others go on.
func FuzzAPoolTakesNothingFromAnother(f *testing.F) {
	f.Add(`{"addresses": ["10.0.0.1/32"]}`)
	f.Add(`{"addresses": ["0.0.0.0/0", "::/0"], "exclude": ["10.0.0.0/8", "x"]}`)
	f.Add(`{"addresses": ["10.0.0.2-10.0.0.1"], "autoAssign": false, "avoidBuggyIPs": true, "reuseAfter": "-1s"}`)
	f.Add(`{"addresses": [], "serviceAllocation": {"priority": -1, "namespaceSelectors": [{"matchExpressions": [{"key": "/", "operator": "x"}]}]}}`)
	f.Add(`{"addresses": ["2001:db8::/64"], "sharing": "Nobody", "serviceAllocation": {"maxAddressesPerNamespace": -5}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var spec v1alpha1.IPAddressPoolSpec
		if json.Unmarshal([]byte(text), &spec) != nil {
			return
		}
		s := newScript(t, newPool("p", "10.0.0.1"))
		s.expect("the first", s.ensure(s.service("web")), "10.0.0.1")
		other := newPool("q")
		other.Spec = spec
		s.setPools(s.pools[0], other)
		s.ensure(s.service("another"))
		s.expect("the first", s.ensure(s.service("web")), "10.0.0.1")
	})
}
