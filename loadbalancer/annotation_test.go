package loadbalancer

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// told is what a Service of a single-stack cluster is told, with a pool of both families.
func told(t *testing.T, annotations map[string]string) string {
	t.Helper()
	s := newScript(t, newPool("public", "10.0.0.0/30", "fd00::/126"))
	svc := serviceWith(annotations)
	svc.Spec.IPFamilies = []corev1.IPFamily{v4}
	r, _ := NewRequest(svc)
	first := s.sentence(r)
	if again := s.sentence(r); again != first {
		t.Errorf("the same request is told %q, then %q", first, again)
	}
	return first
}

func TestAnAnnotationThatNobodyReadsIsNamed(t *testing.T) {
	const served = `10.0.0.0 from pool "public"`
	cases := map[string]struct{ key, meant string }{
		"plural":                         {"address-pools", "address-pool"},
		"singular":                       {"address", "addresses"},
		"a letter too few":               {"adresses", "addresses"},
		"another form":                   {"allow-share-ip", "allow-shared-ip"},
		"another case":                   {"ALLOW-SHARED-IP", "allow-shared-ip"},
		"camels":                         {"addressPool", "address-pool"},
		"MetalLB's name in our domain":   {"loadBalancerIPs", "addresses"},
		"nearly MetalLB's name":          {"load-balancer-ip", "addresses"},
		"one that is read on a Node":     {"drain", ""},
		"one that has nothing of ours":   {"ip-pool", ""},
		"one that is nearly as far away": {"address-range", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := served + "; annotation clarionlb.io/" + c.key + " is ignored: Services have none of this name"
			if c.meant != "" {
				want = served + "; annotation clarionlb.io/" + c.key + " is ignored: clarionlb.io/" + c.meant + " is probably meant"
			}
			if got := told(t, map[string]string{"clarionlb.io/" + c.key: "x"}); got != want {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
}

func TestAnnotationsThatAreReadOrNotOursAreNotNamed(t *testing.T) {
	annotations := map[string]string{
		"metallb.universe.tf/ip-allocated-from-pool": "public", "metallb.io/ip-allocated-from-pool": "public",
		"metallb.io/address-pools": "x", "example.com/adresses": "x", "other.clarionlb.io/adresses": "x", "adresses": "x",
	}
	for _, spellings := range [][]Annotation{poolAnnotations, addressAnnotations, sharingAnnotations} {
		for _, name := range spellings {
			annotations[string(name)] = ""
		}
	}
	if got := told(t, annotations); got != `10.0.0.0 from pool "public"` {
		t.Errorf("got %q", got)
	}
}

func TestManyAnnotationsThatNobodyReadAreSortedAndBounded(t *testing.T) {
	annotations := map[string]string{}
	for i := range 1000 {
		annotations[fmt.Sprintf("clarionlb.io/other-%03d", i)] = "x"
	}
	var want strings.Builder
	want.WriteString(`10.0.0.0 from pool "public"`)
	for i := range mostNamed {
		fmt.Fprintf(&want, "; annotation clarionlb.io/other-%03d is ignored: Services have none of this name", i)
	}
	want.WriteString("; and others")
	if got := told(t, annotations); got != want.String() {
		t.Errorf("got %q\nwant %q", got, want.String())
	}
}

func TestARefusedServiceIsToldOfAnnotationsThatNobodyReads(t *testing.T) {
	const hint = "; annotation clarionlb.io/address-pools is ignored: clarionlb.io/address-pool is probably meant"
	cases := map[string]struct {
		annotations map[string]string
		want        string
	}{
		"it waits":                          {map[string]string{"clarionlb.io/addresses": "10.9.0.1"}, "10.9.0.1 is in no pool" + hint},
		"what it asks for cannot be read":   {map[string]string{"clarionlb.io/addresses": "web"}, `annotation clarionlb.io/addresses: "web" is not an IP address` + hint},
		"it misses a family that it wishes": {map[string]string{"clarionlb.io/addresses": "10.0.0.1,fd00::1"}, `10.0.0.1 from pool "public"; no IPv6 address: the Service asks for fd00::1 but the cluster gives it only IPv4` + hint},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.annotations["clarionlb.io/address-pools"] = "x"
			if got := told(t, c.annotations); got != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

// The hint is the Service's own business: it must not requeue others, and it must come and go with
// the annotation.
func TestTheHintComesAndGoesWithTheAnnotation(t *testing.T) {
	s := newScript(t, newPool("public", "10.0.0.0/30"))
	svc := serviceWith(map[string]string{"clarionlb.io/allow-shared-ip": "k"})
	svc.Spec.IPFamilies = []corev1.IPFamily{v4}
	plain, _ := NewRequest(svc)
	s.ensure(s.service("other", shares("k", 81)))
	before := s.sentence(plain)

	svc.Annotations["clarionlb.io/allow-share-ip"] = "k"
	mistaken, _ := NewRequest(svc)
	out, err := s.a.Ensure(s.now, mistaken)
	if want := before + "; annotation clarionlb.io/allow-share-ip is ignored: clarionlb.io/allow-shared-ip is probably meant"; err != nil || out.Message != want {
		t.Errorf("got %q, %v\nwant %q", out.Message, err, want)
	}
	if len(out.Requeue) > 0 {
		t.Errorf("requeues %v", out.Requeue)
	}
	if after := s.sentence(plain); after != before {
		t.Errorf("got %q, want %q", after, before)
	}
}

func TestAnnotationsForOtherLoadBalancersAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"of kube-vip": {map[string]string{"kube-vip.io/loadbalancerIPs": "10.0.0.9"},
			"annotation kube-vip.io/loadbalancerIPs is ignored: it is kube-vip's, and clarionlb.io/addresses says the same here"},
		"of Cilium, without one of ours": {map[string]string{"lbipam.cilium.io/sharing-cross-namespace": "*"},
			"annotation lbipam.cilium.io/sharing-cross-namespace is ignored: it is Cilium's"},
		"of a cloud": {map[string]string{"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"},
			"annotation service.beta.kubernetes.io/aws-load-balancer-type is ignored: it is that of AWS"},
		"beside ours":                      {map[string]string{"lbipam.cilium.io/ips": "10.0.0.9", "clarionlb.io/addresses": "10.0.0.0"}, ""},
		"what others write themselves":     {map[string]string{"kube-vip.io/vipHost": "n1"}, ""},
		"what only begins like one":        {map[string]string{"lbipam.cilium.io/ips-of-mine": "x", "cloud.google.com/load-balancer-types": "x"}, ""},
		"what has nothing to do with them": {map[string]string{"service.beta.kubernetes.io/other": "x", "cilium.io/global-service": "true"}, ""},
	} {
		want := `10.0.0.0 from pool "public"`
		if c.want != "" {
			want += "; " + c.want
		}
		if got := told(t, c.annotations); got != want {
			t.Errorf("%s: got %q\nwant %q", name, got, want)
		}
	}
}
