package loadbalancer

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// serviceWith makes a dual-stack Service with annotations.
func serviceWith(annotations map[string]string) *corev1.Service {
	policy := corev1.IPFamilyPolicyPreferDualStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web", UID: "uid", CreationTimestamp: metav1.NewTime(epoch),
			Labels: map[string]string{"tier": "web"}, Annotations: annotations,
		},
		Spec: corev1.ServiceSpec{
			IPFamilies: []corev1.IPFamily{v6, v4}, IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{{Port: 80}, {Port: 53, Protocol: corev1.ProtocolUDP}},
		},
	}
}

func TestARequestHasAllThatTheServiceSays(t *testing.T) {
	svc := serviceWith(map[string]string{
		"clarionlb.io/address-pool": " public ", "clarionlb.io/addresses": "fd00::1, 10.0.0.1", "clarionlb.io/allow-shared-ip": "k",
	})
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.9"}, {Hostname: "elsewhere"}, {IP: "garbage"}, {IP: "10.0.0.9"}}
	got, err := NewRequest(svc)
	want := Request{
		Service: types.NamespacedName{Namespace: "default", Name: "web"}, UID: "uid", Created: epoch,
		Labels: map[string]string{"tier": "web"}, Families: []corev1.IPFamily{v6, v4}, Policy: prefer,
		Pool: "public", Addresses: parse([]string{"10.0.0.1", "fd00::1"}), SharingKey: "k",
		Ports: []Port{{corev1.ProtocolTCP, 80}, {corev1.ProtocolUDP, 53}}, Current: parse([]string{"10.0.0.9"}),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestAddressesOfARequest(t *testing.T) {
	cases := map[string]struct {
		annotations    map[string]string
		loadBalancerIP string
		want           string // addresses, or what is wrong
	}{
		"nothing":                                {nil, "", ""},
		"the old field":                          {nil, "10.0.0.1", "10.0.0.1"},
		"the old field with spaces":              {nil, " 10.0.0.1 ", "10.0.0.1"},
		"the annotation":                         {map[string]string{"clarionlb.io/addresses": "10.0.0.1"}, "", "10.0.0.1"},
		"one of each family":                     {map[string]string{"clarionlb.io/addresses": "fd00::1,10.0.0.1"}, "", "10.0.0.1 fd00::1"},
		"MetalLB's spelling":                     {map[string]string{"metallb.io/loadBalancerIPs": "10.0.0.1"}, "", "10.0.0.1"},
		"MetalLB's old spelling":                 {map[string]string{"metallb.universe.tf/loadBalancerIPs": "10.0.0.1"}, "", "10.0.0.1"},
		"an empty annotation says nothing":       {map[string]string{"clarionlb.io/addresses": " "}, "10.0.0.1", "10.0.0.1"},
		"two spellings that agree":               {map[string]string{"clarionlb.io/addresses": "10.0.0.1,fd00::1", "metallb.io/loadBalancerIPs": "fd00:0::1, 10.0.0.1"}, "", "10.0.0.1 fd00::1"},
		"field and annotation that agree":        {map[string]string{"clarionlb.io/addresses": "10.0.0.1,fd00::1"}, "10.0.0.1", "10.0.0.1 fd00::1"},
		"two spellings that differ":              {map[string]string{"clarionlb.io/addresses": "10.0.0.1", "metallb.io/loadBalancerIPs": "10.0.0.2"}, "", "annotations clarionlb.io/addresses and metallb.io/loadBalancerIPs contradict each other"},
		"field and annotation that differ":       {map[string]string{"metallb.io/loadBalancerIPs": "10.0.0.2"}, "10.0.0.1", "spec.loadBalancerIP 10.0.0.1 contradicts annotation metallb.io/loadBalancerIPs"},
		"field and annotation of other families": {map[string]string{"clarionlb.io/addresses": "fd00::1"}, "10.0.0.1", "spec.loadBalancerIP 10.0.0.1 contradicts annotation clarionlb.io/addresses"},
		"two of a family":                        {map[string]string{"clarionlb.io/addresses": "10.0.0.1,10.0.0.2"}, "", "annotation clarionlb.io/addresses has two IPv4 addresses; a Service has at most one of a family"},
		"garbage":                                {map[string]string{"clarionlb.io/addresses": "10.0.0.1,web"}, "", `annotation clarionlb.io/addresses: "web" is not an IP address`},
		"garbage in the field":                   {nil, "web", `spec.loadBalancerIP: "web" is not an IP address`},
		"two in the field":                       {nil, "10.0.0.1,fd00::1", `spec.loadBalancerIP: "10.0.0.1,fd00::1" is not an IP address`},
		"an empty item at the end":               {map[string]string{"clarionlb.io/addresses": "10.0.0.1,"}, "", `annotation clarionlb.io/addresses: there is an empty item in the list "10.0.0.1,"`},
		"an empty item at the beginning":         {map[string]string{"clarionlb.io/addresses": ",10.0.0.1"}, "", `annotation clarionlb.io/addresses: there is an empty item in the list ",10.0.0.1"`},
		"an empty item in the middle":            {map[string]string{"clarionlb.io/addresses": "10.0.0.1,,fd00::1"}, "", `annotation clarionlb.io/addresses: there is an empty item in the list "10.0.0.1,,fd00::1"`},
		"an item of spaces":                      {map[string]string{"metallb.io/loadBalancerIPs": "10.0.0.1, ,fd00::1"}, "", `annotation metallb.io/loadBalancerIPs: there is an empty item in the list "10.0.0.1, ,fd00::1"`},
		"nothing but a comma":                    {map[string]string{"clarionlb.io/addresses": " , "}, "", `annotation clarionlb.io/addresses: there is an empty item in the list ","`},
		"a comma in the field, which is no list": {nil, "10.0.0.1,", `spec.loadBalancerIP: "10.0.0.1," is not an IP address`},
		"a CIDR":                                 {map[string]string{"clarionlb.io/addresses": "10.0.0.0/24"}, "", `annotation clarionlb.io/addresses: "10.0.0.0/24" is not an IP address`},
		"IPv4 in the clothes of IPv6":            {nil, "::ffff:10.0.0.1", `spec.loadBalancerIP: "::ffff:10.0.0.1" is not an IP address`},
		"an address of an interface":             {nil, "fe80::1%eth0", `spec.loadBalancerIP: "fe80::1%eth0" is not an IP address`},
		"pools that differ":                      {map[string]string{"clarionlb.io/address-pool": "a", "metallb.io/address-pool": "b"}, "", "annotations clarionlb.io/address-pool and metallb.io/address-pool contradict each other"},
		"sharing keys that differ":               {map[string]string{"metallb.io/allow-shared-ip": "a", "metallb.universe.tf/allow-shared-ip": "b"}, "", "annotations metallb.io/allow-shared-ip and metallb.universe.tf/allow-shared-ip contradict each other"},
		"pools and keys in spellings that agree": {map[string]string{"clarionlb.io/address-pool": "a", "metallb.io/address-pool": "a", "metallb.universe.tf/allow-shared-ip": "k"}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			svc := serviceWith(c.annotations)
			svc.Spec.LoadBalancerIP = c.loadBalancerIP
			svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.9"}}
			r, err := NewRequest(svc)
			got := ""
			for i, addr := range r.Addresses {
				if i > 0 {
					got += " "
				}
				got += addr.String()
			}
			if err != nil {
				problem, ok := err.(*Error)
				if !ok || problem.Reason != InvalidRequest || r.Invalid != problem {
					t.Errorf("error %#v, in the request %#v", err, r.Invalid)
				}
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if r.Service.Name != "web" || r.UID != "uid" || !r.Created.Equal(epoch) || !slices.Equal(r.Current, parse([]string{"10.0.0.9"})) {
				t.Errorf("the request lacks what it should always have: %+v", r)
			}
		})
	}
}

func TestFamiliesOfARequest(t *testing.T) {
	svc := serviceWith(map[string]string{"clarionlb.io/addresses": "10.0.0.1"})
	svc.Spec.IPFamilies = []corev1.IPFamily{v6}
	if _, err := NewRequest(svc); err == nil || err.Error() != "the Service asks for 10.0.0.1 but has no IPv4: add it to spec.ipFamilies" {
		t.Errorf("a family that the Service does not have: %v", err)
	}
	both := "10.0.0.1,fd00::1"
	for _, family := range []corev1.IPFamily{v4, v6} {
		for annotation, policies := range map[string]map[corev1.IPFamilyPolicy]bool{
			"clarionlb.io/addresses":              {prefer: true, require: false, single: false},
			"metallb.universe.tf/loadBalancerIPs": {prefer: true, require: false, single: false},
		} {
			for policy, admitted := range policies {
				svc := serviceWith(map[string]string{annotation: both})
				svc.Spec.IPFamilies, svc.Spec.IPFamilyPolicy = []corev1.IPFamily{family}, &policy
				if _, err := NewRequest(svc); (err == nil) != admitted {
					t.Errorf("both families by address in %s, the Service has %s, %s: %v", annotation, family, policy, err)
				}
			}
		}
	}
	svc.Spec.IPFamilies = []corev1.IPFamily{v6, v4}
	svc.Spec.IPFamilyPolicy = nil
	if _, err := NewRequest(svc); err == nil {
		t.Error("a family that the Service does not use with SingleStack")
	}
	svc.Spec.IPFamilies = nil
	if _, err := NewRequest(svc); err == nil || err.Error() != "the Service has no IP family: spec.ipFamilies is empty" {
		t.Errorf("no family: %v", err)
	}
}

func TestBackendsMatterForLocalOnly(t *testing.T) {
	make := func(namespace, name string, policy corev1.ServiceExternalTrafficPolicy, selector map[string]string) string {
		svc := serviceWith(nil)
		svc.Namespace, svc.Name, svc.Spec.ExternalTrafficPolicy, svc.Spec.Selector = namespace, name, policy, selector
		r, _ := NewRequest(svc)
		return r.Backends
	}
	local, cluster := corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceExternalTrafficPolicyCluster
	x := map[string]string{"app": "x", "tier": "web"}
	if make("a", "one", cluster, x) != "" {
		t.Error("Cluster has backends that matter")
	}
	if make("a", "one", local, x) != make("a", "two", local, x) {
		t.Error("the same pods are told apart")
	}
	if make("a", "one", local, x) == make("b", "one", local, x) {
		t.Error("pods of two namespaces are taken for the same")
	}
	if make("a", "one", local, x) == make("a", "one", local, map[string]string{"app": "x"}) {
		t.Error("different pods are taken for the same")
	}
	if make("a", "one", local, nil) == make("a", "two", local, nil) {
		t.Error("pods that nobody knows are taken for the same")
	}
}

func FuzzAddressesOfARequest(f *testing.F) {
	for _, seed := range []string{"10.0.0.1", "10.0.0.1,fd00::1", ",", "10.0.0.1,10.0.0.2", "fe80::1%x", " ", "::ffff:1.2.3.4"} {
		f.Add(seed, "")
		f.Add("", seed)
	}
	f.Fuzz(func(t *testing.T, annotation, field string) {
		svc := serviceWith(map[string]string{"clarionlb.io/addresses": annotation})
		svc.Spec.LoadBalancerIP = field
		r, err := NewRequest(svc)
		if err != nil {
			return
		}
		seen := map[bool]bool{}
		for _, addr := range r.Addresses {
			if seen[addr.Is4()] || addr.Zone() != "" || addr.Is4In6() || addr == (netip.Addr{}) {
				t.Errorf("%q, %q: %v", annotation, field, r.Addresses)
			}
			seen[addr.Is4()] = true
		}
	})
}

func TestAServiceThatWasOnlyTakenUpHasNoAnswer(t *testing.T) {
	for status, answered := range map[metav1.ConditionStatus]bool{
		"": false, metav1.ConditionUnknown: false, metav1.ConditionTrue: true, metav1.ConditionFalse: true,
	} {
		svc := &corev1.Service{Spec: corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}}}
		if status != "" {
			svc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: status}}
		}
		if r, err := NewRequest(svc); err != nil || r.Answered != answered {
			t.Errorf("condition %q: answered is %v (%v)", status, r.Answered, err)
		}
	}
}
